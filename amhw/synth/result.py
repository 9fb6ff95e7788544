"""What a synthesis found, with where it came from."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping as Lookup
from dataclasses import asdict, dataclass, field
from typing import Any

from amhw.synth.netlist import Netlist
from amhw.synth.recipe import Kind
from amhw.synth.reports import Step


@dataclass(frozen=True)
class Store:
    """A memory: it is counted in bits and has no area here."""

    name: str
    words: int
    width: int

    @property
    def bits(self) -> int:
        """words × width."""
        return self.words * self.width


@dataclass(frozen=True)
class Module:
    """A module of a design that was mapped module by module.

    Attributes:
        name: its own.
        instances: how many there are.
        area_um2, cells: of one, with what is inside it.
        own_area_um2: without the instances of other modules.
        delay_ps: the longest path that ends at a register in one of them, where it stands.
    """

    name: str
    instances: int
    area_um2: float
    cells: int
    own_area_um2: float
    delay_ps: float


def modules_of(netlist: Netlist, latest: Lookup[str, float]) -> tuple[Module, ...]:
    """The modules of a hierarchy, from the top down; none of a flat netlist."""
    if len(netlist.modules) < 2:
        return ()
    area, cells, own, delay = (dict.fromkeys(netlist.modules, 0.0) for _ in range(4))
    count = Counter(gate.scope for gate in netlist.instances)
    for gate in netlist.instances:
        own[gate.scope] += gate.cell.area
    for scope in own:
        for above in _with_ancestors(scope, own):
            area[above] += own[scope]
            cells[above] += count[scope]
            delay[above] = max(delay[above], latest.get(scope, 0.0))
    found: dict[str, Module] = {}
    for scope, name in netlist.modules.items():
        before = found.get(name)
        found[name] = Module(
            name,
            1 + (before.instances if before else 0),
            round(area[scope], 4),
            int(cells[scope]),
            round(own[scope], 4),
            round(max(delay[scope], before.delay_ps if before else 0.0), 2),
        )
    return tuple(found.values())


def _with_ancestors(scope: str, scopes: Lookup[str, float]) -> Iterator[str]:
    while True:
        if scope in scopes:
            yield scope
        if not scope:
            return
        scope = scope.rpartition(".")[0]


@dataclass(frozen=True)
class Mapping:
    """One recipe's netlist: area (µm², flip-flops included), delay (ps), cells by type, the longest path.

    The delay is that of `amhw.synth.timing`: the load on every net but no wires, registers' clock-to-output and
    set-up times (`setup_ps` is the part after the path's last stage) included. `aim` is the recipe's.
    """

    recipe: str
    area_um2: float
    delay_ps: float
    cells_by_type: dict[str, int] = field(hash=False)
    path: tuple[Step, ...] = field(repr=False)
    start: str = ""
    end: str = ""
    setup_ps: float = 0.0
    aim: str = "balanced"
    adders: bool = False
    kind: Kind = "restructured"
    seconds: float = field(default=0.0, compare=False)
    netlist: str | None = field(default=None, repr=False)
    gates: Netlist | None = field(default=None, repr=False, compare=False)
    modules: tuple[Module, ...] = field(default=(), repr=False)
    memories: tuple[Store, ...] = field(default=(), repr=False)

    @property
    def cells(self) -> int:
        """How many cells."""
        return sum(self.cells_by_type.values())


@dataclass(frozen=True)
class SynthesisResult:
    """A design's figures in one technology.

    `mappings` has one entry for each recipe, in their order. There are figures of two kinds, which are never
    compared with one another. *Restructured*: `area_um2`, `delay_ps` and `cells` are those of `best_product`: one
    netlist, not the best of two. To compare designs take `best_area.area_um2` and `best_delay.delay_ps`, what each
    can reach: the best product may be a small netlist here and a fast one there. *As designed*: `as_designed`,
    one netlist that keeps the design's structure.

    `failures` names the recipes that failed and why; `verified` says how every netlist was checked: the number of
    products compared, or a proof, or nothing.
    """

    top: str
    verilog_sha256: str
    tech: str
    tech_sha256: str
    nand2_area: float
    tool: str
    mappings: tuple[Mapping, ...]
    failures: tuple[tuple[str, str], ...] = ()
    verified: str = ""

    @property
    def restructured(self) -> tuple[Mapping, ...]:
        """The mappings of that kind; all where there are none."""
        return tuple(m for m in self.mappings if m.kind == "restructured") or self.mappings

    @property
    def as_designed(self) -> Mapping | None:
        """The netlist that keeps the design's structure, where it was asked for and did not fail."""
        return next((m for m in self.mappings if m.kind == "as designed"), None)

    @property
    def best_area(self) -> Mapping:
        """The smallest netlist (of equals the fastest)."""
        return min(self.restructured, key=lambda m: (m.area_um2, m.delay_ps))

    @property
    def best_delay(self) -> Mapping:
        """The fastest netlist (of equals the smallest)."""
        return min(self.restructured, key=lambda m: (m.delay_ps, m.area_um2))

    @property
    def best_product(self) -> Mapping:
        """The netlist with the least area × delay (of equals the smallest)."""
        return min(self.restructured, key=lambda m: (m.area_um2 * m.delay_ps, m.area_um2, m.delay_ps))

    @property
    def area_um2(self) -> float:
        """Area of `best_product`, µm²."""
        return self.best_product.area_um2

    @property
    def delay_ps(self) -> float:
        """Delay of `best_product`, ps."""
        return self.best_product.delay_ps

    @property
    def cells(self) -> int:
        """Number of cells of `best_product`."""
        return self.best_product.cells

    @property
    def nand2(self) -> float:
        """Area of `best_product` in two-input NAND gates."""
        return self.area_um2 / self.nand2_area

    def noise(self, figure: str) -> float:
        """How far apart the two best recipes that aim at `figure` (`area` or `delay`) are, relative to the best.

        ABC is not monotone: which of them wins is luck, and so is a difference of this size between two designs.
        Recipes with adder cells are left out: what those cells gain or lose is no accident. 0 where there are no
        two recipes to compare.
        """
        rivals = [m for m in self.restructured if m.aim == figure and not m.adders]
        figures = sorted(m.area_um2 if figure == "area" else m.delay_ps for m in rivals)
        return figures[1] / figures[0] - 1 if len(figures) > 1 and figures[0] > 0 else 0.0

    def record(self) -> dict[str, Any]:
        """All of it in plain types, for JSON."""
        best = self.best_product
        return {
            "top": self.top,
            "kind": best.kind,
            "area_um2": best.area_um2,
            "nand2": round(self.nand2, 2),
            "delay_ps": best.delay_ps,
            "cells": best.cells,
            "cells_by_type": best.cells_by_type,
            "tech": self.tech,
            "recipe": best.recipe,
            "tool": self.tool,
            "path": _path(best),
            "noise": {figure: round(self.noise(figure), 5) for figure in ("area", "delay")},
            "verified": self.verified,
            "failures": [list(failure) for failure in self.failures],
            "memory_bits": sum(store.bits for store in best.memories),
            "memories": [asdict(store) | {"bits": store.bits} for store in best.memories],
            "modules": [asdict(module) for module in best.modules],
            "as_designed": None if self.as_designed is None else _whole(self.as_designed),
            "best_area": _figures(self.best_area),
            "best_delay": _figures(self.best_delay),
            "recipes": [_figures(mapping) for mapping in self.mappings],
            "tech_sha256": self.tech_sha256,
            "verilog_sha256": self.verilog_sha256,
        }


def _whole(mapping: Mapping) -> dict[str, Any]:
    """The figures of one netlist with its cells and its longest path."""
    return {**_figures(mapping), "cells_by_type": mapping.cells_by_type, "path": _path(mapping)}


def _path(mapping: Mapping) -> dict[str, Any]:
    return {
        "start": mapping.start,
        "end": mapping.end,
        "steps": [[step.cell, step.arrival_ps] for step in mapping.path],
        "setup_ps": mapping.setup_ps,
    }


def _figures(mapping: Mapping) -> dict[str, Any]:
    return {
        "recipe": mapping.recipe,
        "kind": mapping.kind,
        "area_um2": mapping.area_um2,
        "delay_ps": mapping.delay_ps,
        "cells": mapping.cells,
        "seconds": round(mapping.seconds, 3),
    }
