"""What named multipliers lose in LeNet-5 (or another network) with the weights that are chosen for them; no synthesis.

    python scripts/fit_multipliers.py pp_0_0_0_0_0_0_c0_c0
    python scripts/fit_multipliers.py --layers all pp_0_0_0_0_c0_c0_c0_c0

Four seconds of processor time a multiplier, ten in all layers. Losses are those of all test images.
"""

import argparse

import torch

from amhw.multiplier import parse
from amhw.network.inference import Inference
from amhw.remap.fit import fit
from amhw.stages.loss import Loss
from amhw.stages.problem import Problem
from amhw.table import ProductTable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("multipliers", nargs="+", metavar="NAME", help="without mul_u8s8_")
    parser.add_argument("--layers", choices=("all", "convolutions"), default="convolutions")
    parser.add_argument("--network", help="default: the shipped LeNet-5")
    parser.add_argument("--data")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    loaded = Problem(arguments.network, arguments.data).loaded
    structure = loaded.base.network
    layers = structure.layer_names if arguments.layers == "all" else structure.convolutions
    exact = Inference(loaded.base).correct(loaded.test)
    for name in arguments.multipliers:
        tables = dict.fromkeys(layers, ProductTable.of(parse(f"mul_u8s8_{name}")))
        found = fit(loaded.base, tables, loaded.teacher, loaded.judge)
        loss = Loss.between(exact, Inference(found.network, tables).correct(loaded.test))
        print(
            f"{name}: {100 * loss.mean:.2f} ± {100 * loss.half_width:.2f} points lost, training "
            f"{100 * loaded.training_loss(found.predictions).mean:.2f}, divergence {found.divergence:.5f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
