"""Which training images say what a network loses: plain ones, moved ones, and what is told, against the test images.

    python scripts/judging_images.py digits-float.npz --layers all

Prints how often the network with exact products errs on each kind, and for some multipliers the points that the fitted
network loses of each, as images lost − images gained. The figures of docs/selection.md; test images choose nothing.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from amhw.multiplier import parse
from amhw.network.inference import Inference
from amhw.remap.fit import fit
from amhw.stages.problem import Problem
from amhw.table import ProductTable

MULTIPLIERS = (
    "pp_0_0_0_0_0_0_c0_c0",
    "or_1800_0_0_0_0_0_0_f0_f0",
    "pp_0_0_0_0_c0_c0_c0_c0",
    "pp_0_0_0_0_0_e0_e0_e0",
    "or_1000_0_0_0_8_d0_e0_e8_e0",
    "or_1a00_0_0_1_8_f8_f0_f0_f0",
    "or_1200_0_0_0_4_f0_f0_f0_f0",
    "or_400_0_0_0_0_f0_f0_f0_f0",
)


def lost(exact: NDArray[np.bool_], approximate: NDArray[np.bool_]) -> str:
    """In points."""
    away, gained = 100 * (exact & ~approximate).mean(), 100 * (~exact & approximate).mean()
    return f"{away:.2f} − {gained:.2f} = {away - gained:5.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="in floating point")
    parser.add_argument("--data")
    parser.add_argument("--layers", choices=("all", "convolutions"), default="convolutions")
    parser.add_argument("--multipliers", nargs="+", default=MULTIPLIERS, metavar="NAME", help="without mul_u8s8_")
    arguments = parser.parse_args()
    loaded = Problem(arguments.network, arguments.data).loaded
    judging, structure = loaded.judging, loaded.base.network
    plain = len(loaded.plain_judges)
    kinds = {
        "plain": judging.taken(slice(plain), "plain"),
        "moved": judging.taken(slice(plain, None), "moved"),
        "test": loaded.test,
    }
    exact = {kind: Inference(loaded.base).correct(images) for kind, images in kinds.items()}
    errors = ", ".join(f"{100 - 100 * hits.mean():.2f} % of {len(hits)} {kind}" for kind, hits in exact.items())
    print(f"errs on {errors} images; {'takes' if loaded.takes_movement else 'does not take'} movements")
    layers = structure.layer_names if arguments.layers == "all" else structure.convolutions
    for name in arguments.multipliers:
        table = ProductTable.of(parse(f"mul_u8s8_{name}"))
        tables = dict.fromkeys(layers, table)
        found = fit(loaded.base, tables, loaded.teacher, loaded.judge)
        told = 100 * loaded.training_loss(found.predictions).mean
        inference = Inference(found.network, tables)
        each = "  ".join(f"{kind} {lost(exact[kind], inference.correct(images))}" for kind, images in kinds.items())
        print(f"{name:30}  told {told:5.2f}  {each}", flush=True)


if __name__ == "__main__":
    main()
