"""Technologies: a cell library, what drives the inputs and what loads the outputs.

Shipped ones are compact tables of facts (`technologies/*.json`, written by scripts/derive_technologies.py):
the cells that technology mapping of arithmetic uses, with delay and transition tables on fewer grid points
than the foundry's. Any Liberty file gives one too.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

from amhw.refusal import Refusal
from amhw.synth.boolean import truth_table
from amhw.synth.facts import decoded
from amhw.synth.liberty import read_library
from amhw.synth.library import INVERTER, NAND2, TWO_INPUT_GATES, Cell, Library, liberty_text

MOST_READERS = 32
"""In designs with registers a net with more readers gets a tree of buffers."""

_FOLDER = resources.files("amhw.synth") / "technologies"


@dataclass(frozen=True)
class Technology:
    """Where area and delay are measured.

    Every input comes from `driving_cell` (so its delay and slew depend on how many gates read the input),
    every output drives `load` fF. `Technology.of` chooses the inverter of about four times unit strength,
    as the output of a buffered register has, and four times a unit inverter's input capacitance (FO4).
    There are no wires.

    >>> sky = Technology.named("sky130hd")
    >>> sky.driving_cell, sky.cell("sky130_fd_sc_hd__nand2_1").area
    ('sky130_fd_sc_hd__inv_4', 3.7536)
    """

    name: str
    library: Library = field(repr=False, hash=False)
    driving_cell: str
    load: float
    source: str = ""

    @staticmethod
    def of(name: str, library: Library, source: str = "") -> "Technology":
        """The technology of `library` with the driver and load described above.

        Raises:
            Refusal: the library has no inverter, or no two-input gate, and nothing can be mapped to it.
        """
        place = source or name
        if library.smallest(*INVERTER) is None:
            raise Refusal(f"{place} has no inverter; mapping needs an inverter and a two-input gate")
        if all(library.smallest(2, truth) is None for truth in TWO_INPUT_GATES.values()):
            wanted = ", ".join(TWO_INPUT_GATES)
            raise Refusal(f"{place} has no two-input gate ({wanted}); mapping needs an inverter and one of them")
        inverters = library.with_truth(*INVERTER)
        unit = min(cell.inputs[0].capacitance for cell in inverters)
        driver = min(inverters, key=lambda cell: (abs(cell.inputs[0].capacitance / unit - 4), cell.area))
        return Technology(name, library, driver.name, round(4 * unit, 3), source)

    @staticmethod
    def named(name: str) -> "Technology":
        """A shipped technology.

        Raises:
            Refusal: no such technology.
        """
        if name not in technologies():
            known = ", ".join(technologies())
            raise Refusal(f"unknown technology {name!r}; known: {known}, or give a Liberty file")
        return _shipped(name)

    @staticmethod
    def from_liberty(files: Path | str, cells: Iterable[str] | None = None) -> "Technology":
        """The technology in a Liberty file (plain or gzip), all its usable cells or only `cells`.

        One that comes in several files is given as their paths with commas between them.

        Raises:
            Refusal: unreadable, truncated or foreign file, or no inverter, or no two-input gate.
        """
        paths = liberty_files(files)
        library = read_library(*paths)
        if cells is not None:
            library = library.restricted_to(cells)
        return Technology.of(technology_label(files), library, source=", ".join(path.name for path in paths))

    def cell(self, name: str) -> Cell:
        """The cell of that name."""
        return self.library.cells[name]

    def check_voltage(self) -> None:
        """Refuse a technology in which no energy can be given.

        Raises:
            Refusal: its library does not say the supply voltage.
        """
        if self.library.voltage == 0:
            raise Refusal(f"{self.name} does not say its supply voltage (nom_voltage), so there is no energy")

    @cached_property
    def nand2_area(self) -> float:
        """Area of the smallest two-input NAND (else of the smallest two-input gate), µm²."""
        found = self.library.smallest(*NAND2)
        gates = [self.library.smallest(2, truth) for truth in TWO_INPUT_GATES.values()]
        return (found or min((cell for cell in gates if cell), key=lambda cell: cell.area)).area

    @cached_property
    def liberty(self) -> str:
        """The Liberty file that Yosys and ABC are given."""
        return liberty_text(self.library.senses_on_common_axes())

    @cached_property
    def adders(self) -> tuple[str, ...]:
        """The kinds of adder that the library has a cell for, of `full` and `half`.

        >>> Technology.named("sky130hd").adders, Technology.named("sg13g2").adders
        (('full', 'half'), ())
        """
        return tuple(self._adder_cells)

    @cached_property
    def small_adders(self) -> tuple[str, ...]:
        """Those of `adders` that can make a netlist smaller.

        A half adder cannot where it is no smaller than the smallest XOR and NAND together, the gates of one: it
        then only keeps ABC from sharing them with others (docs/cost.md has figures).

        >>> Technology.named("sky130hd").small_adders
        ('full',)
        """
        gates = [self.library.smallest(2, truth) for truth in (_SUMS[2], TWO_INPUT_GATES["NAND"])]
        most = {"full": math.inf, "half": math.fsum(cell.area for cell in gates if cell) if all(gates) else math.inf}
        return tuple(kind for kind, (area, _) in self._adder_cells.items() if area < most[kind] - 1e-9)

    @cached_property
    def adder_map(self) -> str:
        """Verilog with which Yosys' `techmap` turns `$fa` into cells; a half adder is one whose third input is 0."""
        full, half = (self._adder_cells.get(kind, (0.0, ""))[1] for kind in _OPERANDS)
        full = full or "wire _TECHMAP_FAIL_ = 1;"
        return _ADDER_MAP.format(full=full, half=half or full)

    @cached_property
    def _adder_cells(self) -> Mapping[str, tuple[float, str]]:
        """For `full` and `half` the area of the smallest cell and an instance in Verilog, Y the sum and X the carry."""
        found = {kind: _adder_cell(self.library, operands) for kind, operands in _OPERANDS.items()}
        return {kind: cell for kind, cell in found.items() if cell is not None}

    @cached_property
    def buffer(self) -> tuple[str, str, str] | None:
        """The buffer for broadcast nets with its input and output: the least area × delay at `MOST_READERS` inverters.

        >>> Technology.named("sky130hd").buffer
        ('sky130_fd_sc_hd__buf_2', 'A', 'X')
        """
        load = MOST_READERS * self.load / 4
        found = [
            (cell.area * max(arc.cell_rise.at(50.0, load), arc.cell_fall.at(50.0, load)), cell)
            for cell in self.library.with_truth(1, 0b10)
            for arc in cell.outputs[0].arcs[:1]
        ]
        if not found:
            return None
        cell = min(found, key=lambda pair: (pair[0], pair[1].name))[1]
        return cell.name, cell.inputs[0].name, cell.outputs[0].name

    @cached_property
    def registers(self) -> tuple[str, ...]:
        """The names of the flip-flops."""
        return tuple(name for name, cell in self.library.cells.items() if cell.flip_flop is not None)

    @cached_property
    def constraints(self) -> str:
        """The constraint file that ABC is given."""
        return f"set_driving_cell {self.driving_cell}\nset_load {self.load:g}\n"

    @cached_property
    def sha256(self) -> str:
        """Of all that decides a figure: Liberty text, driver and load."""
        return hashlib.sha256((self.liberty + self.constraints).encode()).hexdigest()


_OPERANDS = {"full": ("A", "B", "C"), "half": ("A", "B")}

_ADDER_MAP = """\
(* techmap_celltype = "$fa" *)
module adders (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  parameter _TECHMAP_CONSTVAL_C_ = 0;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  generate if (WIDTH != 1) begin
    wire _TECHMAP_FAIL_ = 1;
  end else if (_TECHMAP_CONSTMSK_C_ == 1 && _TECHMAP_CONSTVAL_C_ == 0) begin
    {half}
  end else begin
    {full}
  end endgenerate
endmodule
"""

_SUMS = {2: 0b0110, 3: 0b10010110}
_CARRIES = {2: 0b1000, 3: 0b11101000}


def _adder_cell(library: Library, operands: tuple[str, ...]) -> tuple[float, str] | None:
    """Area and instance of the smallest cell that adds `operands`; its outputs may be inverted, as ASAP7's are."""
    found = []
    wanted = {_SUMS[len(operands)]: "Y", _CARRIES[len(operands)]: "X"}
    every = (1 << (1 << len(operands))) - 1
    for cell in library.cells.values():
        names = [pin.name for pin in cell.inputs]
        if cell.flip_flop is not None or len(names) != len(operands) or len(cell.outputs) != 2:
            continue
        pins, before, after = list(zip(names, operands, strict=True)), "", ""
        for output in cell.outputs:
            truth = truth_table(output.function, names)
            if truth in wanted:
                pins.append((output.name, wanted[truth]))
            elif truth ^ every in wanted:
                port = wanted[truth ^ every]
                pins.append((output.name, f"not_{port}"))
                before, after = (
                    f"{before}wire not_{port}; ",
                    f"{after} \\$_NOT_ not_not_{port} (.A(not_{port}), .Y({port}));",
                )
        if {"X", "Y"} <= {net.removeprefix("not_") for _, net in pins}:
            connections = ", ".join(f".{pin}({net})" for pin, net in pins)
            found.append((cell.area, f"{before}{cell.name} _ ({connections});{after}"))
    return min(found, default=None)


def technologies() -> tuple[str, ...]:
    """The names of the shipped technologies.

    >>> technologies()
    ('sg13g2', 'sky130hd')
    """
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def liberty_files(technology: Path | str) -> tuple[Path, ...]:
    """The files of a technology that is given as Liberty: one path, or several with commas between them.

    >>> [path.name for path in liberty_files("parts/invbuf.lib.gz,parts/simple.lib.gz")]
    ['invbuf.lib.gz', 'simple.lib.gz']
    """
    whole = Path(technology)
    if "," not in str(technology) or whole.exists():
        return (whole,)
    return tuple(Path(part.strip()) for part in str(technology).split(","))


def technology_label(technology: Path | str) -> str:
    """What a technology given by name or as Liberty files is called.

    >>> technology_label("parts/invbuf.lib.gz,parts/simple.lib.gz")
    'invbuf+simple'
    """
    return "+".join(path.name.removesuffix(".gz").removesuffix(".lib") for path in liberty_files(technology))


@cache
def _shipped(name: str) -> Technology:
    facts = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return Technology.of(name, decoded(facts), facts["source"])
