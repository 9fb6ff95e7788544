"""Compare the incremental fault campaign with brute force on random faults of every memory and model.

    python scripts/check_faults.py [--each 40] [--images 200:250] [--network FILE] [--multiplier NAME]

Prints how many faults were compared and how many differ (status 1 if any), and how long both took: processor seconds
a fault.
"""

import argparse
import sys
import time

import numpy as np

from amhw import ProductTable, parse
from amhw.datasets import mnist_test
from amhw.faults import brute
from amhw.faults.golden import Arithmetic
from amhw.faults.incremental import Words, counts
from amhw.faults.memories import Fault, memories
from amhw.faults.models import MODELS
from amhw.network.models import lenet5
from amhw.network.quantised import QuantisedNetwork
from amhw.scoring import tables_made_for


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=40, help="faults of every memory and model")
    parser.add_argument("--images", default="200:250")
    parser.add_argument("--network", help="a network file; its own multipliers")
    parser.add_argument("--multiplier", help="in the convolutions of LeNet-5")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    network, tables = lenet5.network(), {}
    if arguments.network:
        network = QuantisedNetwork.load(arguments.network)
        tables = tables_made_for(network)
    if arguments.multiplier:
        tables = dict.fromkeys(network.convolutions, ProductTable.of(parse(arguments.multiplier)))
    test = mnist_test()
    part = test.part(arguments.images)
    data = test.taken(slice(part.start, part.stop), arguments.images)
    random = np.random.default_rng(arguments.seed)
    anew, arithmetic = brute.FaultyNetwork(network, tables), Arithmetic(network, tables)
    logits, golden = anew.logits(data.images), arithmetic.golden(data)
    compared = different = 0
    spent = np.zeros(2)
    for memory in memories(network):
        for model in MODELS.values():
            values = memory.faulty(model)
            size = min(arguments.each, values.size)
            words, bits = np.unravel_index(random.choice(values.size, size, replace=False), values.shape)
            start = time.process_time()
            mine = counts(arithmetic, golden, memory, Words(words, values[words, bits]))
            middle = time.process_time()
            for word, bit, found in zip(words.tolist(), bits.tolist(), mine, strict=True):
                fault = Fault(memory.layer, memory.kind, word, bit, model.name, int(values[word, bit]))
                wanted = brute.counts(anew, fault, data.images, data.labels, logits)
                if not np.array_equal(found, wanted):
                    different += 1
                    print(f"{fault}: {found} instead of {wanted}")
            spent += (middle - start, time.process_time() - middle)
            compared += size
    print(f"{compared} faults × {len(data)} images: {different} differ")
    print(f"processor time: incremental {spent[0] / compared:.2g} s a fault, brute force {spent[1] / compared:.2g} s")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
