"""How much faster the fault campaign is than brute force: all single flips of all parameters of LeNet-5.

    OMP_NUM_THREADS=1 python scripts/bench_faults.py [--images 0:512]

In one process, so that both meet the same machine: after each task of the campaign all images are classified anew, once
for each of some faults, which is all that brute force does for every fault. Prints the processor time of both by
memory, and the ratio. What the command does besides (starting processes, writing the rows) is not in it:
`time amhw faults` says how long all of it takes.
"""

import argparse
import time

import numpy as np

from amhw.datasets import mnist_test
from amhw.faults.campaign import Campaign, Images, counted, flipped, golden_run
from amhw.faults.memories import memories
from amhw.network.inference import Inference
from amhw.network.models import lenet5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="0:512")
    arguments = parser.parse_args()
    network = lenet5.network()
    campaign = Campaign(network, {}, Images.of(None, mnist_test(), arguments.images))
    images, inference = campaign.images.data.images, Inference(network)
    anew, classified = 0.0, 0
    # Compiling and the golden values come once, however many faults there are.
    inference.logits(images)
    for golden in golden_run(network, {}, campaign.images):
        del golden
    for memory in campaign.memories:
        counted(network, {}, campaign.images, memory, flipped(memory, np.arange(1), 1))
    spent: dict[str, float] = {}
    for part in campaign.tasks:
        [memory] = memories(network, [part.memory])
        faults = flipped(memory, np.arange(part.first, part.first + part.count), 1)
        start = time.process_time()
        counted(network, {}, campaign.images, memory, faults)
        middle = time.process_time()
        spent[part.memory] = spent.get(part.memory, 0.0) + middle - start
        inference.logits(images)
        anew, classified = anew + time.process_time() - middle, classified + 1
    for name, seconds in spent.items():
        [memory] = memories(network, [name])
        trials = memory.bits * len(images)
        print(f"{name:18} {memory.bits:7} faults {seconds:9.2f} s {1e9 * seconds / trials:8.1f} ns a trial")
    whole, each = sum(spent.values()), anew / classified
    print(f"{campaign.faults} faults × {len(images)} images: {whole:.1f} s of processor time")
    print(f"brute force: {each:.4f} s a fault ({classified} tried), {each * campaign.faults / 3600:.1f} h")
    print(f"{each * campaign.faults / whole:.0f} times as fast")


if __name__ == "__main__":
    main()
