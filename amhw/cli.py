"""The `amhw` command: every subcommand is also ``python -m amhw.NAME`` (``imports`` and ``exports`` for import and
export, which are words of Python; ``import_network`` for import-network)."""

import importlib
from collections.abc import Iterator
from typing import Any

import click

from amhw.commands.base import Group

COMMANDS = {
    "gen": ("amhw.commands.gen", "Generate a multiplier: Verilog and a manifest that says what it is."),
    "show": ("amhw.commands.show", "Draw a multiplier's dot diagram and the stages of its tree."),
    "families": ("amhw.commands.families", "List the multiplier families, their parameters and an example of each."),
    "errors": ("amhw.commands.errors", "Error figures of a multiplier or a table; a heat map."),
    "import": ("amhw.commands.imports", "Read anyone's combinational multiplier, or a product table."),
    "import-network": ("amhw.commands.import_network", "Make a network file of an ONNX file or a torch module."),
    "export": ("amhw.commands.exports", "Write a product table as public simulators read it."),
    "export-network": ("amhw.commands.export_network", "Write a network as an ONNX file, for others to check."),
    "sim": ("amhw.commands.sim", "Prove by simulation that emitted Verilog computes what its model says."),
    "array": ("amhw.commands.array", "Generate a systolic array: matrix products, or LeNet-5's convolutions."),
    "synth": ("amhw.commands.synth", "Synthesise Verilog: area, critical-path delay, cells."),
    "tech": ("amhw.commands.tech", "List, show and import technologies: cell libraries."),
    "energy": ("amhw.commands.energy", "Energy of a multiplier, an array or any Verilog, on real and random operands."),
    "fpga": ("amhw.commands.fpga", "Put a whole network on an FPGA: a bitstream, what it takes and how fast it is."),
    "classify": ("amhw.commands.classify", "Classes of images, by a network on an FPGA or by its simulation."),
    "accuracy": ("amhw.commands.accuracy", "A network's accuracy with a multiplier in its layers."),
    "faults": ("amhw.commands.faults", "What flipped bits in a network's memories cost, every one of them."),
    "select": ("amhw.commands.select", "Choose partial products and weight codes from what the network multiplies."),
    "cascade": ("amhw.commands.cascade", "A cheap network first, a better one where the cheap one is in doubt."),
    "train": ("amhw.commands.train", "Train a network from scratch, or fine-tune it through a multiplier."),
    "study": ("amhw.commands.study", "Generate, simulate, synthesise and score a list of multipliers."),
    "report": ("amhw.commands.report", "Studies and selections as one interactive HTML page, pictures and tables."),
}
"""Subcommand → its module and its one line in ``amhw --help``; in the order in which they are used."""


class _Lazy(Group):
    """Loads a subcommand's module when it is called, so that ``amhw --help`` does not wait for torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        return [click.shell_completion.CompletionItem(name) for name in self._matching(incomplete)]

    def _matching(self, incomplete: str) -> Iterator[str]:
        return (name for name in COMMANDS if name.startswith(incomplete))


@click.command(cls=_Lazy, epilog="Each command's --help ends with an example.")
@click.version_option(package_name="amhw")
def main() -> None:
    """Approximate multiplier hardware, traded against neural-network accuracy."""


if __name__ == "__main__":
    main(prog_name="amhw")
