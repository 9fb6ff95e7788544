"""What the circuits of the protections cost: area and delay of each, from Verilog by the synthesis of `amhw synth`."""

from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.lib import wiring

from amhw.array.widths import SUM_BITS
from amhw.documents import Amount
from amhw.faults.circuits import HammingReader, LesserOf, ParityReader, Requantiser, Voter
from amhw.faults.codes import Hamming, has_free_bits
from amhw.network.quantised import QuantisedNetwork
from amhw.synth import Recipe, Synthesiser, Technology
from amhw.table import ProductTable
from amhw.verilog import emit


@dataclass(frozen=True)
class Cost:
    """Of one instance: the smallest netlist.

    Attributes:
        circuit: what it is, and where it stands.
        area_um2, delay_ps: of that netlist. A clipping requantiser's area is what it has more than one that does not
            clip; its delay is the whole's.
    """

    circuit: str
    area_um2: Amount
    delay_ps: Amount


def circuits(
    protection: str, network: QuantisedNetwork, tables: Mapping[str, ProductTable]
) -> tuple[str, dict[str, wiring.Component]]:
    """What a protection's circuit is called, and the components by module name: the last one's cost counts, less the
    first one's where there are two."""
    first = network.layers[0]
    width, bits = first.operands.weight_width, first.operands.activation_bits
    match protection:
        case "parity":
            return "parity checker, one a weight read", {"parity_reader": ParityReader(width)}
        case "hamming":
            return "decoder, one a weight read", {"hamming_reader": HammingReader(Hamming.added(width))}
        case "free-bits":
            table = next(table for table in tables.values() if has_free_bits(table))
            return "decoder, one a weight read", {"free_bits_reader": HammingReader(Hamming.in_free_bits(table))}
        case "triplicate":
            return "voter, one a weight read", {"voter": Voter(width)}
        case "split":
            return "lesser of two, one an output", {"lesser_of": LesserOf(bits)}
    assert protection == "clip" and first.requantisation is not None
    pair = {
        name: Requantiser(first.requantisation, SUM_BITS, clips=clips)
        for name, clips in (("requantiser", False), ("clipping_requantiser", True))
    }
    return "ceiling, one a requantiser", dict(pair)


def cost(
    protection: str,
    network: QuantisedNetwork,
    tables: Mapping[str, ProductTable],
    technology: Technology,
    recipes: tuple[Recipe, ...],
) -> Cost:
    """Of one instance of a protection's circuit."""
    called, components = circuits(protection, network, tables)
    with Synthesiser(technology, recipes, workers=1) as synthesiser:
        results = [
            synthesiser.submit(emit(component, name), name, prove=True).result()
            for name, component in components.items()
        ]
    found = [result.best_area for result in results]
    area = found[-1].area_um2 - (found[0].area_um2 if len(found) > 1 else 0.0)
    return Cost(called, round(max(area, 0.0), 2), round(found[-1].delay_ps, 1))
