"""What rounding the image before it is multiplied is worth, and which figure knows it.

    python scripts/image_rounding.py
    python scripts/image_rounding.py --network fashion-float.npz --data /usr/share/datasets/fashion-mnist

For each multiplier a network with the image truncated, one with it rounded, and one with half of rounding's constant
added; the logarithm of the second and the third ÷ the first of the divergence on the judge's images, on 15,000
others (training images, moved and distorted in other ways), and of the squared errors of the convolutions; and the
shares of the others that the three classify wrongly. Then how far, for rounding, the first and the last agree with
the second, and the means. A third of a minute of processor time a multiplier; test images are not looked at.
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
    labels = np.tile(loaded.training.labels[:: max(1, len(loaded.training.labels) // IMAGES)][:IMAGES], len(SEEDS))
    print(
        "ln(rounded / truncated), ln(half as much / truncated): divergence by the judge, of other images; squared\n"
        "errors of the layers; % of the others wrong: truncated, rounded, half as much; chosen"
    )
    rows, wrong = [], []
    for name in arguments.multipliers:
        table = ProductTable.of(parse(f"mul_u8s8_{name}"))
        tables = dict.fromkeys(loaded.base.convolutions, table)
        added = (0, half_step(table), half_step(table) // 2)
        ways = [fit(loaded.base, tables, loaded.teacher, loaded.judge, roundings=[constant]) for constant in added]
        free = fit(loaded.base, tables, loaded.teacher, loaded.judge)
        chosen = free.network[free.network.network.pixel_layers[0]].input_rounding
        judged = [others.judged(way.network, tables) for way in ways]
        figures = np.array(
            [[w.divergence, found, *(e**2 for e in w.errors.values())]
             for w, (found, _) in zip(ways, judged, strict=True)]
        )  # fmt: skip
        rows.append(np.log(figures[1:] / figures[0]))
        wrong.append([100 * float((logits.argmax(axis=1) != labels).mean()) for _, logits in judged])
        print(
            f"{name:34s} {'   '.join(' '.join(f'{x:+.2f}' for x in row) for row in rows[-1])}   "
            f"{' '.join(f'{x:.2f}' for x in wrong[-1])}  {'rounded' if chosen else 'truncated'}",
            flush=True,
        )
    both = np.array(rows)
    judged_by, other, *_, last = both[:, 0].T
    print(f"the judge agrees with the other images by {pearsonr(judged_by, other).statistic:+.2f}, "
          f"the error of the last layer by {pearsonr(last, other).statistic:+.2f}")  # fmt: skip
    for k, what in enumerate(("rounded", "half as much")):
        found = both[:, k, 1]
        shares = np.log(np.array(wrong)[:, k + 1] / np.array(wrong)[:, 0])
        error = len(found) ** -0.5
        print(
            f"{what} ÷ truncated, other images, mean logarithm and its standard error: "
            f"divergence {np.mean(found):+.3f} ± {np.std(found) * error:.3f}, "
            f"wrong {np.mean(shares):+.3f} ± {np.std(shares) * error:.3f}"
        )


if __name__ == "__main__":
    main()
