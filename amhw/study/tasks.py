"""What a plan asks of the stages: its designs and the exact multipliers that they are compared with, as tasks.

The stages that need a design's Verilog come after the one that emits it, and energy after the synthesis that says which
netlist it is of, so there are three rounds: what can start at once is in `Tasks` itself, the others are in `Costs`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from amhw.datasets import DataSource, data_source
from amhw.families.exact import exact_structures
from amhw.imports import Imported
from amhw.network.inference import check_operands
from amhw.network.models.lenet5 import network_for
from amhw.network.quantised import QuantisedNetwork
from amhw.network.trained_on import other_data, own_data
from amhw.results import Task
from amhw.simulation import Outcome
from amhw.stages.emission import Emitted, emission
from amhw.stages.energy import OperationEnergy, energy
from amhw.stages.scoring import Score, scoring
from amhw.stages.simulation import simulation
from amhw.stages.synthesis import Synthesised, synthesis
from amhw.stimulus import Trace, layer_trace
from amhw.study.plan import Data, Plan, PlannedDesign
from amhw.synth import Expected
from amhw.synth.recipe import recipe_named
from amhw.synth.store import technology_named
from amhw.table import ProductTable
from amhw.verilog import Design

AnyDesign = Design | Imported


@dataclass(frozen=True)
class Costs:
    """The tasks that need a design's Verilog, by design (or planned design) and technology.

    Energy needs more, to know which netlist it is about: see `Tasks.energy`.
    """

    simulation: Mapping[AnyDesign, Task[Outcome]]
    synthesis: Mapping[tuple[AnyDesign, str], Task[Synthesised]]
    energy: Mapping[tuple[PlannedDesign, str], Task[OperationEnergy]] = field(default_factory=dict)


class Tasks:
    """The tasks of a plan.

    Attributes:
        exact: the exact multipliers with the operands of the plan's designs.
        emission: of every design that was made here.
        networks: each planned design's network.
        other_data: of each planned design and data set, that the network was trained on other data; or None.
        scores: of each planned design on each data set.
        exact_scores: of exact products on each data set.

    Raises:
        Refusal: an operand, layer, technology, network or data set cannot be used.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.exact = tuple(PlannedDesign(design, design.name) for design in _exact_designs(plan.designs[0].design))
        self._tables = cache(_table)
        self._expected = cache(self._expected_of)
        self._networks = cache(QuantisedNetwork.load)
        self._traces: dict[str, Trace] = {}
        sources = {data: data_source(data.folder) for data in plan.data}
        self._sources = list(sources.values())
        self._images = {data: source.test for data, source in sources.items()}
        every = [*plan.designs, *self.exact]
        for technology in plan.technologies:
            known = technology_named(technology)
            if plan.energy is not None:
                known.check_voltage()
        if plan.energy is not None:
            for planned in every:
                self._trace(planned, plan.energy)  # refuses a layer that there is not, and data that are not its own
        self.networks = {planned: self._network(planned, plan.layers) for planned in plan.designs}
        self.other_data = {
            (planned, data): other_data(network.network, source)
            for planned, network in self.networks.items()
            for data, source in sources.items()
        }
        self.scores = {(planned, data): self._scoring(planned, data) for planned in plan.designs for data in plan.data}
        exact = self._network(self.exact[0], plan.layers)
        exact.check_tables({})
        self.exact_scores = {data: scoring(exact, {}, data.folder, self._images[data]) for data in plan.data}
        designs = dict.fromkeys(planned.design for planned in every)
        self.emission = {design: emission(design) for design in designs if isinstance(design, Design)}
        built = [design for design in designs if isinstance(design, Design) or design.verilog]
        proved = dict.fromkeys(planned.design for planned in plan.designs)
        self._simulated = [design for design in proved if isinstance(design, Design)]
        self._synthesised = [(design, technology) for design in built for technology in plan.technologies]
        self._powered = [
            (planned, technology)
            for planned in (every if plan.energy is not None else [])
            if planned.design in built
            for technology in plan.technologies
        ]

    def __len__(self) -> int:
        """How many tasks there are, if nothing fails."""
        first = len(self.emission) + len(self.scores) + len(self.exact_scores)
        return first + len(self._simulated) + len(self._synthesised) + len(self._powered)

    def costs(self, emitted: Mapping[Design, Emitted]) -> Costs:
        """The tasks that need Verilog, of those designs that could be emitted."""

        texts = {design: _text(design, emitted) for design, _ in self._synthesised}
        return Costs(
            {d: simulation(d, texts[d], self.plan.simulator) for d in self._simulated if texts[d]},
            {
                (design, technology): synthesis(texts[design], _top(design), technology, self._expected(design))
                for design, technology in self._synthesised
                if texts[design]
            },
        )

    def energy(
        self, emitted: Mapping[Design, Emitted], synthesised: Mapping[tuple[AnyDesign, str], Synthesised]
    ) -> dict[tuple[PlannedDesign, str], Task[OperationEnergy]]:
        """The energy, if the plan wants it, of the netlists with the least area × delay among those `synthesised`."""

        def task(planned: PlannedDesign, technology: str, layer: str) -> Task[OperationEnergy]:
            design, trace = planned.design, self._trace(planned, layer)
            recipe = recipe_named(synthesised[design, technology].balanced.recipe)
            text, expected = _text(design, emitted), self._expected(design)
            return energy(text, _top(design), technology, expected, recipe, trace["a"], trace["b"])

        return {
            (planned, technology): task(planned, technology, self.plan.energy)
            for planned, technology in self._powered
            if self.plan.energy is not None and (planned.design, technology) in synthesised
        }

    def _scoring(self, planned: PlannedDesign, data: Data) -> Task[Score]:
        layers, table = self.plan.layers, self._tables(planned.design)
        network = self._network(planned, layers)
        for layer in layers:
            check_operands(network[layer], table)
        tables = dict.fromkeys(layers, table)
        network.check_tables(tables)
        return scoring(network, tables, data.folder, self._images[data])

    def _trace(self, planned: PlannedDesign, layer: str) -> Trace:
        """The operands that a design sees in a layer of its network, on images of the network's own data set."""
        network = self._network(planned, (layer,))
        if network.sha256 not in self._traces:
            images = self._own_data(network).representative
            self._traces[network.sha256] = layer_trace(network, layer, images)
        return self._traces[network.sha256]

    def _own_data(self, network: QuantisedNetwork) -> DataSource:
        """The plan's data set that a network was trained on; else the first, or what `own_data` knows."""
        on = network.network.trained_on
        own = [source for source in self._sources if on is not None and source.identity.sha256 == on.sha256]
        return own_data(network.network, (own or self._sources)[0].path)

    def _network(self, planned: PlannedDesign, layers: tuple[str, ...]) -> QuantisedNetwork:
        """Its own, the plan's, or the shipped one at the multiplier's widths."""
        file = planned.network or self.plan.network
        return network_for(self._tables(planned.design), layers) if file is None else self._networks(file)

    def _expected_of(self, design: AnyDesign) -> Expected:
        ports = design.ports if isinstance(design, Imported) else None
        return Expected(self._tables(design).products, **({} if ports is None else vars(ports)))


def _table(design: AnyDesign) -> ProductTable:
    return design.table if isinstance(design, Imported) else ProductTable.of(design.multiplier)


def _text(design: AnyDesign, emitted: Mapping[Design, Emitted]) -> str:
    """A design's Verilog; empty where it could not be emitted."""
    if isinstance(design, Design):
        return emitted[design].verilog if design in emitted else ""
    return design.verilog or ""


def _top(design: AnyDesign) -> str:
    return design.name if isinstance(design, Design) else design.top or ""


def _exact_designs(design: AnyDesign) -> list[Design]:
    """The exact multipliers with the operands of a design."""
    first = design.table if isinstance(design, Imported) else design.multiplier
    found = exact_structures(first.width_a, first.width_b, signed_a=first.signed_a, signed_b=first.signed_b)
    return [Design(multiplier, tree, adder) for multiplier, tree, adder in found]
