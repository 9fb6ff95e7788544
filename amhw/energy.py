"""Energy: of a multiplier on the operands that LeNet-5 gives it and on random ones, and of anyone's Verilog.

    amhw energy NAME
    amhw energy rtl_out/ARRAY.v
    amhw energy FILE.v --trace TRACE.csv

The netlist is the one with the least area × delay; `amhw.synth.energy` says how its energy is counted. Which netlist
that is decides much, so the range over all recipes stands beside the figure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from amhw.array.mesh import SystolicArray
from amhw.array.plan import ConvPlan
from amhw.array.tiling import DATAFLOWS
from amhw.array.widths import Widths
from amhw.command import Command, print_json
from amhw.files import read_whole
from amhw.lenet.inference import check_operands
from amhw.lenet.network import Operands, QuantisedNetwork
from amhw.lenet.shipped import network as shipped_network
from amhw.lenet.shipped import network_for
from amhw.multiplier import parse
from amhw.refusal import Refusal
from amhw.stimulus import SEED, Ports, Stimulus, check_fits, layer_operands, random_bits, read_trace, tiles
from amhw.synth import RECIPES, SEARCH, Expected, Synthesiser, SynthesisResult, Technology
from amhw.synth.clocked import clock_of
from amhw.synth.command import expected_of
from amhw.synth.energy import ASSUMPTIONS, CLOCK_ASSUMPTION, Energy, energy
from amhw.synth.failure import SynthesisError
from amhw.synth.netlist import Netlist
from amhw.synth.store import technology_named
from amhw.table import ProductTable
from amhw.verilog import Design, emit, read_manifest

OPERATIONS = 1 << 14
"""Operand pairs in a trace."""

CLOCKS = 1 << 12
"""Clocks in a trace of a design with registers."""

LAYER = "conv2"
"""Whose operands are used if nothing is said."""

_IMAGES = 20

Trace = dict[str, NDArray[np.int64]]


def uniform_trace(width_a: int, width_b: int, length: int = OPERATIONS) -> Trace:
    """Independent, uniformly distributed operand codes; the same ones every time."""
    random = np.random.default_rng(SEED)
    return {"a": random.integers(0, 1 << width_a, length), "b": random.integers(0, 1 << width_b, length)}


def mnist_trace(network: QuantisedNetwork, layer: str, length: int = OPERATIONS) -> Trace:
    """Consecutive operand codes of multipliers in a weight-stationary array that computes `layer` on MNIST.

    A multiplier keeps one weight while the activations of all output positions of an image pass by, row by row;
    then comes another weight of the layer and another image of the training slice, both drawn at random.
    """
    random = np.random.default_rng(SEED)
    streams, weights = layer_operands(network, layer, _IMAGES, random)
    a, b, have = [], [], 0
    while have < length:
        tap = random.integers(streams.shape[-1])
        stream = streams[random.integers(len(streams)), :, tap].astype(np.int64)
        a.append(stream)
        b.append(np.full(stream.size, weights[random.integers(len(weights)), tap]))
        have += stream.size
    return {"a": np.concatenate(a)[:length], "b": np.concatenate(b)[:length]}


@dataclass(frozen=True)
class Figures:
    """What was counted under one stimulus; `products` are the useful multiply-accumulates in all of its clocks."""

    energy: Energy
    products: int = 0
    elements: tuple[float, float] | None = None
    """Of an array's processing elements together, settled and timed, fJ per clock."""
    recipes: Mapping[str, Energy] = field(default_factory=dict)
    """Of each recipe's netlist under the same stimulus, this one's among them."""

    def ranges(self) -> dict[str, tuple[tuple[float, str], tuple[float, str]]]:
        """The least and the greatest energy over all recipes, fJ, and whose it is: settled and timed."""
        settled = [(each.settled_fj, recipe) for recipe, each in self.recipes.items()]
        timed = [(each.timed_fj, recipe) for recipe, each in self.recipes.items()]
        return {kind: (min(fj), max(fj)) for kind, fj in (("settled", settled), ("timed", timed)) if len(fj) > 1}

    def record(self) -> dict[str, Any]:
        """For JSON."""
        record = self.energy.record()
        if ranges := self.ranges():
            record["range"] = {
                f"{kind}_fj": {
                    end: {"fj": round(fj, 4), "recipe": recipe}
                    for end, (fj, recipe) in zip(("least", "greatest"), ends, strict=True)
                }
                for kind, ends in ranges.items()
            }
        if self.products:
            rate = self.products / self.energy.operations
            both = {"": (self.energy.settled_fj, self.energy.timed_fj), "elements_": self.elements or (0.0, 0.0)}
            record["macs_per_clock"] = round(rate, 4)
            for whose, fj in both.items():
                for kind, each in zip(("settled", "timed"), fj, strict=True):
                    record[f"{whose}{kind}_fj_per_mac"] = round(each / rate, 4)
        return record


@click.command(cls=Command, epilog="Example: amhw energy mul_u8s8_pp_0_0_0_0_20_f0_f8_fc --layer conv2")
@click.argument("name")
@click.option("--tech", default="sky130hd", show_default=True, help="Technology (amhw tech list), or a Liberty file.")
@click.option("--layer", help=f"The layer whose operands are used. [default: {LAYER}]")
@click.option(
    "--network", metavar="FILE", help="The network whose operands are used. [default: an array's, or shipped]"
)
@click.option("--top", metavar="MODULE", help="Of a Verilog file. [default: the only one; of an array file the array]")
@click.option("--trace", metavar="FILE", help="Of a Verilog file: what its inputs see, CSV or npz.")
@click.option("--operands", metavar="A,B", help="Of a Verilog file: inputs that see a multiplier's operands.")
@click.option("--hold", metavar="PORT=VALUE", multiple=True, help="Of a Verilog file: an input that never changes.")
@click.option(
    "--clocks", type=click.IntRange(2, 1 << 20), help=f"How long. [default: {OPERATIONS}; registers {CLOCKS}]"
)
@click.option("--search", is_flag=True, help=f"Only the quick recipe '{SEARCH.name}', not the best of all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    name: str,
    tech: str,
    layer: str | None,
    network: str | None,
    top: str | None,
    trace: str | None,
    operands: str | None,
    hold: tuple[str, ...],
    clocks: int | None,
    search: bool,
    as_json: bool,
) -> None:
    """Energy of one operation of the multiplier NAME: on LeNet-5's operands in a layer, and on random ones.

    NAME may also be a Verilog file; with registers (one clock, no memories) the energy is that of a clock, in three
    parts: data, registers, clock. Of a file that `amhw array` wrote it is that of the array, which computes the layer
    tile by tile, and is given per multiply-accumulate too, with that of its elements alone. In other files, and with
    --top, inputs see the columns of --trace, a multiplier's operands with --operands, what --hold says, and random bits
    where none of these names them.
    """
    technology = technology_named(tech)
    if technology.library.voltage == 0:
        raise Refusal(f"{tech} does not say its supply voltage (nom_voltage), so there is no energy")
    chosen = None if network is None else QuantisedNetwork.load(network)
    recipes = (SEARCH,) if search else RECIPES
    verilog = name.endswith((".v", ".sv"))
    steered = top or trace or operands or hold
    work: _Work
    if verilog and not steered and expected_of(Path(name))[2] is not None:
        work = _Array(Path(name), layer or LAYER, chosen, clocks)
    elif verilog:
        work = _Verilog(Path(name), top, layer, chosen, trace, operands, hold, clocks)
    elif steered:
        raise Refusal(f"--top, --trace, --operands and --hold are for Verilog files; {name} is none")
    else:
        work = _Multiplier(Design.parse(name), layer or LAYER, chosen, clocks)
    with (
        Console(stderr=True).status(f"synthesising {Path(name).stem}"),
        Synthesiser(technology, recipes, workers=1, netlists=True, timeout=3600 if work.apart else 300) as synthesiser,
    ):
        try:
            result = work.synthesised(synthesiser)
        except Refusal as refusal:
            raise Refusal(f"{name}: {refusal}") from refusal
        except SynthesisError as error:
            raise click.ClickException(f"{name}: {error}") from error
    netlists = {mapping.recipe: mapping.gates for mapping in result.mappings if mapping.gates is not None}
    netlist = netlists[result.best_product.recipe]
    try:
        clock = clock_of(netlist)
        stimuli = work.stimuli(netlist, clock)
        with Console(stderr=True).status("counting"):
            found = {
                given: _figures(netlists, result.best_product.recipe, technology, each, work.elements)
                for given, each in stimuli.items()
            }
    except Refusal as refusal:
        raise Refusal(f"{name}: {refusal}") from refusal
    assumptions = ASSUMPTIONS if clock is None else f"{ASSUMPTIONS}; {CLOCK_ASSUMPTION}"
    if as_json:
        print_json(
            {
                "design": result.top,
                "tech": technology.name,
                "tech_sha256": technology.sha256,
                "recipe": result.best_product.recipe,
                "area_um2": result.area_um2,
                "delay_ps": result.delay_ps,
                "network_sha256": work.network_sha256,
                "clock": clock,
                "operands": {given: figures.record() for given, figures in found.items()},
                "assumptions": assumptions,
            }
        )
        return
    unit = "operation" if clock is None else "clock"
    click.echo(f"{result.top} in {technology.name}, recipe {result.best_product.recipe}, fJ per {unit}")
    click.echo("\n".join([*_page(found, clocked=clock is not None), assumptions]))


class _Multiplier:
    """A multiplier by its name."""

    apart = False
    elements: frozenset[str] = frozenset()

    def __init__(self, design: Design, layer: str, network: QuantisedNetwork | None, clocks: int | None) -> None:
        self.design, self.layer, self.clocks = design, layer, clocks or OPERATIONS
        self.table = ProductTable.of(design.multiplier)
        if network is not None:
            check_operands(network[layer], self.table)
        self.network = network or network_for(self.table, (layer,))
        self.network_sha256: str | None = self.network.sha256
        self.real = mnist_trace(self.network, layer, self.clocks)

    def synthesised(self, synthesiser: Synthesiser) -> SynthesisResult:
        expected = Expected(self.table.products)
        return synthesiser.submit(self.design.verilog(), self.design.name, expected).result()

    def stimuli(self, netlist: Netlist, clock: str | None) -> dict[str, Stimulus]:
        uniform = uniform_trace(self.table.width_a, self.table.width_b, self.clocks)
        return {"uniform": Stimulus(dict(uniform)), f"MNIST {self.layer}": Stimulus(dict(self.real))}


class _Verilog:
    """A Verilog file, and what its inputs see."""

    elements: frozenset[str] = frozenset()

    def __init__(
        self,
        path: Path,
        top: str | None,
        layer: str | None,
        network: QuantisedNetwork | None,
        trace: str | None,
        operands: str | None,
        hold: Sequence[str],
        clocks: int | None,
    ) -> None:
        self.path, self.top, self.layer, self.network, self.clocks = path, top, layer or LAYER, network, clocks
        self.text = read_whole(path).decode("utf-8", errors="replace")
        self.expected, self.provable, self.array = expected_of(path)
        self.trace = trace
        self.given: Ports = {} if trace is None else read_trace(Path(trace))
        held = [_held(each) for each in hold]
        self.held = dict(held)
        self.operands = _pair(operands)
        named = Counter([*self.given, *(port for port, _ in held), *self.operands])
        twice = sorted(port for port, times in named.items() if times > 1)
        if twice:
            raise Refusal(f"{', '.join(twice)} given twice: by --trace, --operands or --hold")
        if self.expected is not None and not operands and not self.given:
            self.operands = (self.expected.a, self.expected.b)
        for option, value in (("--layer", layer), ("--network", network)):
            if value is not None and not self.operands:
                raise Refusal(f"{option} needs --operands: no input of {path} sees a layer's operands")
        if self.operands:
            (network or shipped_network())[self.layer]  # an unknown one is refused before synthesis
        self.apart = self.array is not None
        self.network_sha256: str | None = None

    def synthesised(self, synthesiser: Synthesiser) -> SynthesisResult:
        return synthesiser.submit(
            self.text,
            self.top,
            self.expected if self.top is None else None,
            prove=self.provable,
            includes=self.path.absolute().parent,
            hierarchical=self.apart,
        ).result()

    def stimuli(self, netlist: Netlist, clock: str | None) -> dict[str, Stimulus]:
        widths = {name: len(nets) for name, nets in netlist.inputs.items() if name != clock}
        if not widths:
            raise Refusal(f"{netlist.top} has no inputs" + (f" but its clock {clock}" if clock else ""))
        source = self.trace or ""
        check_fits(self.given, widths, source)
        clocks = (
            len(next(iter(self.given.values()))) if self.given else self.clocks or (CLOCKS if clock else OPERATIONS)
        )
        clocks = min(clocks, self.clocks or clocks)
        known: Ports = {name: values[:clocks] for name, values in self.given.items()}
        known |= self._constant(widths, clocks)
        free = {name: width for name, width in widths.items() if name not in {*known, *self.operands}}
        label = "trace" if self.given else "uniform"
        if not self.operands:
            return {label: Stimulus(known | random_bits(free, clocks))}
        check_fits(dict.fromkeys(self.operands, np.zeros(1, dtype=np.int64)), widths, "--operands")
        a, b = self.operands
        network = self.network or shipped_network({self.layer: Operands(widths[a], widths[b])})
        taken = network[self.layer].operands
        if (taken.activation_width, taken.weight_width) != (widths[a], widths[b]):
            raise Refusal(
                f"{a}, {b} have {widths[a]} and {widths[b]} bits, but {self.layer} of this network is {taken.name}"
            )
        self.network_sha256 = network.sha256
        real = mnist_trace(network, self.layer, clocks)
        uniform = uniform_trace(widths[a], widths[b], clocks)
        others = known | random_bits(free, clocks)
        return {
            given: Stimulus(others | {a: codes["a"], b: codes["b"]})
            for given, codes in (("uniform", uniform), (f"MNIST {self.layer}", real))
        }

    def _constant(self, widths: Mapping[str, int], clocks: int) -> Ports:
        ports = {name: np.full(clocks, value, dtype=object) for name, value in self.held.items()}
        check_fits(ports, widths, "--hold")
        return ports


class _Array:
    """The systolic array in a file that `amhw array` wrote: the mesh, without what feeds it."""

    apart = True

    def __init__(self, path: Path, layer: str, network: QuantisedNetwork | None, clocks: int | None) -> None:
        manifest = read_manifest(path.with_suffix(".json"))
        if manifest.get("dataflow", DATAFLOWS[0]) != DATAFLOWS[0]:
            raise Refusal(f"{path} is {manifest['dataflow']}; choose a module with --top, and --trace, instead")
        multiplier = parse(manifest["multiplier"])
        self.table = ProductTable.of(multiplier)
        if network is None:
            own = path.with_name(manifest["network"]) if "network" in manifest else None
            network = network_for(self.table, (layer,)) if own is None else QuantisedNetwork.load(own)
        check_operands(network[layer], self.table)
        self.layer, self.network, self.clocks = layer, network, clocks or CLOCKS
        self.network_sha256: str | None = network.sha256
        self.shape: tuple[int, int, int] = (manifest["rows"], manifest["cols"], manifest["depth"])
        self.widths = Widths.of(self.table)
        if "image_side" in manifest:
            self.widths = ConvPlan(network, self.table, *self.shape, manifest["image_side"]).widths
        self.name = f"{manifest['name']}_array"
        self.mesh = SystolicArray(multiplier, self.widths, *self.shape)
        kinds = {element.name: element for element in self.mesh.elements}
        self.elements = frozenset(kinds)
        self.text = "\n".join(emit(each, module) for module, each in [*kinds.items(), (self.name, self.mesh)])
        random = np.random.default_rng(SEED)
        self.real = layer_operands(network, layer, _IMAGES, random)
        most = network[layer].operands.activation_max
        self.noise = (
            random.integers(0, most + 1, self.real[0].shape),
            random.integers(0, 1 << self.table.width_b, self.real[1].shape),
        )

    def synthesised(self, synthesiser: Synthesiser) -> SynthesisResult:
        return synthesiser.submit(self.text, self.name, prove=True, hierarchical=True).result()

    def stimuli(self, netlist: Netlist, clock: str | None) -> dict[str, Stimulus]:
        found = {}
        for given, operands in (("uniform", self.noise), (f"MNIST {self.layer}", self.real)):
            stimulus = tiles(operands[0], operands[1], self.widths, self.shape, self.clocks)
            length = len(stimulus.ports["swap"])
            still = {name: np.zeros(length, dtype=np.uint8) for name in netlist.inputs if name != clock}
            found[given] = Stimulus(still | stimulus.ports, stimulus.skip, stimulus.products)
        return found


_Work = _Multiplier | _Verilog | _Array


def _held(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value, 0)
    except ValueError:
        raise Refusal(f"--hold {text!r} is no PORT=VALUE, such as rst=0") from None


def _pair(text: str | None) -> tuple[str, ...]:
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    if text is not None and (len(set(names)) != 2 or not all(names)):
        raise Refusal(f"--operands {text!r} are no two inputs, such as a,b")
    return names


def _figures(
    netlists: Mapping[str, Netlist],
    chosen: str,
    technology: Technology,
    stimulus: Stimulus,
    elements: frozenset[str],
) -> Figures:
    """Of the netlist of the recipe `chosen`, among all."""
    recipes = {
        recipe: energy(netlist, technology, stimulus.ports, skip=stimulus.skip) for recipe, netlist in netlists.items()
    }
    found, modules = recipes[chosen], netlists[chosen].modules
    inside = [fj for scope, fj in found.by_scope.items() if modules.get(scope) in elements]
    both = sum(settled for settled, _ in inside), sum(timed for _, timed in inside)
    return Figures(found, stimulus.products, both if stimulus.products else None, recipes)


def _page(found: Mapping[str, Figures], clocked: bool) -> list[str]:
    if not clocked:
        lines = [f"{'operands':14s} {'settled':>9s} {'timed':>9s} {'leakage':>9s}  toggles settled, timed"]
        for operands, figures in found.items():
            e = figures.energy
            columns = f"{e.settled_fj:9.1f} {e.timed_fj:9.1f} {e.leakage_fj:9.4f}"
            lines.append(f"{operands:14s} {columns}  {e.toggles:.1f}, {e.timed_toggles:.1f}")
        return lines + _ranges(found)
    lines = [f"{'inputs':14s} {'data':>18s}     {'registers':>14s}     {'clock':>9s} {'sum':>18s} {'leakage':>10s}"]
    for operands, figures in found.items():
        e = figures.energy
        parts = ((e.data_fj, e.timed_data_fj), (e.registers_fj, e.timed_registers_fj), (e.settled_fj, e.timed_fj))
        data, registers, every = (f"{settled:9.1f} … {timed:9.1f}" for settled, timed in parts)
        lines.append(f"{operands:14s} {data}  {registers}  {e.clock_fj:9.1f} {every} {e.leakage_fj:9.4f}")
    for operands, figures in found.items():
        if figures.products:
            e, rate = figures.energy, figures.products / figures.energy.operations
            settled, timed = figures.elements or (0.0, 0.0)
            lines.append(
                f"{operands:14s} {e.settled_fj / rate:.1f} … {e.timed_fj / rate:.1f} fJ a multiply-accumulate, "
                f"{settled / rate:.1f} … {timed / rate:.1f} of it in the elements; {rate:.2f} a clock"
            )
    return [*lines, *_ranges(found), "settled … timed: without and with hazards"]


def _ranges(found: Mapping[str, Figures]) -> list[str]:
    lines = []
    for operands, figures in found.items():
        ends = (
            f"{kind} {least:.1f} ({of_least}) … {greatest:.1f} ({of_greatest})"
            for kind, ((least, of_least), (greatest, of_greatest)) in figures.ranges().items()
        )
        if text := ", ".join(ends):
            lines.append(f"{operands:14s} by recipe: {text}")
    return lines


if __name__ == "__main__":
    command(prog_name="amhw energy")
