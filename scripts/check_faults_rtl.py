"""Write faults into the memories of LeNet-5's convolution engine, in Verilator, and compare its codes with the
campaign's.

    python scripts/check_faults_rtl.py [--faults 200] [--images 3] [--cols 2] [--multiplier NAME] [--network FILE]

Prints how many faults and codes were compared; status 1 if a code differs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from amhw import ProductTable, parse
from amhw.array.plan import ConvPlan
from amhw.datasets import mnist_test
from amhw.faults.rtl import compare, engine, some_faults
from amhw.network.models import lenet5
from amhw.network.quantised import QuantisedNetwork
from amhw.simulation import simulator_environment


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--cols", type=int, default=2)
    parser.add_argument("--multiplier", default="mul_u8s8_pp_full")
    parser.add_argument("--network", help="a network file that was made for the multiplier")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    multiplier = parse(arguments.multiplier)
    network = QuantisedNetwork.load(arguments.network) if arguments.network else lenet5.network()
    plan = ConvPlan(network, ProductTable.of(multiplier), 25, arguments.cols, 25)
    faults = some_faults(plan, arguments.faults, arguments.seed)
    images = mnist_test().images[200 : 200 + arguments.images]
    with tempfile.TemporaryDirectory() as folder, simulator_environment():
        found = compare(engine(multiplier, plan, Path(folder)), plan, faults, images)
    print(
        f"{found.faults} faults ({found.changed} change a code), {found.codes} codes: "
        f"{len(found.different)} faults differ"
    )
    for fault in found.different:
        print(fault)
    return int(bool(found.different))


if __name__ == "__main__":
    sys.exit(main())
