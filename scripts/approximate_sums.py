"""Accuracy and cost of approximate additions, by the number of OR-ed bits: the table of docs/effort.md.

    python scripts/approximate_sums.py [--network FILE] [--data DATA] [--images N] [--tech NAME]

Every layer adds its products one after another; the products are those of the network's own multipliers. The cost is
that of a multiply-accumulate of the first layer's multiplier with a 24-bit sum, by the quick recipe.
"""

import argparse
from pathlib import Path

from amhw.datasets import data_source
from amhw.effort.accumulation import LowerOrSums, multiply_accumulate
from amhw.network.inference import Inference
from amhw.network.models import lenet5
from amhw.network.quantised import QuantisedNetwork
from amhw.scoring import own_tables
from amhw.synth import SEARCH, Synthesiser, technology_named
from amhw.verilog import Design, emit

WIDTH = 24
"""Bits of a sum: LeNet-5's largest have 23 and a sign."""

BITS = (0, 4, 6, 8, 9, 10, 11, 12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--tech", default="sky130hd")
    arguments = parser.parse_args()
    network = lenet5.network() if arguments.network is None else QuantisedNetwork.load(arguments.network)
    tables = own_tables(network)
    test = data_source(arguments.data).test.first(arguments.images)
    first = network.layers[0].name
    name = tables[first].name if first in tables else "mul_u8s8_pp_full"
    multiplier = Design.parse(name).multiplier
    print(f"{network.name}\n{name} in {', '.join(tables) or 'no layer'}; {len(test)} images; {arguments.tech}")
    print(" L  accuracy, %  area, µm²  delay, ps")
    with Synthesiser(technology_named(arguments.tech), (SEARCH,), workers=1) as synthesiser:
        for bits in BITS:
            sums = {layer.name: LowerOrSums(layer, bits, tables.get(layer.name)) for layer in network.layers}
            accuracy = float(Inference(network, tables, sums).correct(test).mean())
            unit = multiply_accumulate(multiplier, WIDTH, bits)
            result = synthesiser.submit(emit(unit, unit.name), unit.name).result()
            print(f"{bits:2}  {accuracy:11.2%}  {result.area_um2:9.1f}  {result.delay_ps:9.0f}", flush=True)


if __name__ == "__main__":
    main()
