"""What rounding the image before it is multiplied is worth, and which figure knows it.

    python scripts/image_rounding.py
    python scripts/image_rounding.py --network fashion-float.npz --data /usr/share/datasets/fashion-mnist

For each multiplier a network with the image truncated and one with it rounded; the logarithm of rounded ÷ truncated of
the divergence on the judge's images, on 15,000 others (training images, moved and distorted in other ways), and of the
squared errors of the convolutions. Then how far the first and the last agree with the second. A quarter of a minute of
processor time a multiplier; test images are not looked at.
"""

import argparse

import numpy as np
import torch
from scipy.stats import pearsonr

from amhw.multiplier import parse
from amhw.remap.fit import Judge, fit
from amhw.remap.terms import half_step
from amhw.stages.problem import Problem, moved
from amhw.table import ProductTable

NAMES = (
    "pp_0_0_0_0_0_0_0_c0", "pp_0_0_0_0_0_0_0_e0", "pp_0_0_0_0_0_0_20_c0", "pp_0_0_0_0_0_0_18_e0",
    "pp_0_0_0_0_0_0_c0_c0", "pp_0_0_0_0_0_0_c0_d0", "pp_0_0_0_0_0_0_f8_f8", "pp_0_0_0_0_0_e0_e0_e0",
    "pp_0_0_0_0_c0_c0_c0_c0", "pp_0_0_0_0_f0_f0_f0_f0", "or_1000_0_0_0_0_0_0_c0_b8", "or_1000_0_0_0_0_0_0_e0_e0",
    "or_1800_0_0_0_0_0_0_f0_f0", "or_1c00_0_0_0_0_1_f0_f0_f0",
)  # fmt: skip

IMAGES = 5000
SEEDS = (77, 78, 79)
"""Of the other images' movements: none is one that teaches or judges."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("multipliers", nargs="*", default=NAMES, metavar="NAME", help="without mul_u8s8_")
    parser.add_argument("--network", help="default: the shipped LeNet-5")
    parser.add_argument("--data")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    loaded = Problem(arguments.network, arguments.data).loaded
    images = loaded.training.images
    images = images[:: max(1, len(images) // IMAGES)][:IMAGES]
    others = Judge.of(loaded.network, np.concatenate([moved(images, seed) for seed in SEEDS]))
    print("ln(rounded / truncated): divergence by the judge, of other images; squared errors of the layers; chosen")
    rows = []
    for name in arguments.multipliers:
        table = ProductTable.of(parse(f"mul_u8s8_{name}"))
        tables = dict.fromkeys(loaded.base.convolutions, table)
        ways = [fit(loaded.base, tables, loaded.teacher, loaded.judge, roundings=[r]) for r in (0, half_step(table))]
        free = fit(loaded.base, tables, loaded.teacher, loaded.judge)
        chosen = free.network[free.network.network.pixel_layers[0]].input_rounding
        figures = np.array(
            [[w.divergence, others.judged(w.network, tables)[0], *(e**2 for e in w.errors.values())] for w in ways]
        )
        rows.append(np.log(figures[1] / figures[0]))
        print(
            f"{name:34s} {' '.join(f'{x:+.2f}' for x in rows[-1])}  {'rounded' if chosen else 'truncated'}", flush=True
        )
    judged, other, *_, last = np.array(rows).T
    print(f"the judge agrees with the other images by {pearsonr(judged, other).statistic:+.2f}, "
          f"the error of the last layer by {pearsonr(last, other).statistic:+.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
