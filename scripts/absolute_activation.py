"""|x| against max(x, 0): accuracy of LeNet-5 and of one with half its channels, with exact products and through a mask.

    python scripts/absolute_activation.py [--data FOLDER] [--seeds N] [--out FILE]

Each network is trained from scratch and quantised, and then fine-tuned through the multiplier in its convolutions; both
classify the test images. Every network that is done is a line of --out: what is there already is not trained again.
The table has means over the seeds, and the mean difference between the activations of the same seed; ± is the 95 %
interval of Student's t. Training sees the packaged 5,000 images unless a folder is given.
"""

import json
from concurrent.futures import as_completed
from dataclasses import replace
from math import prod
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import click

from amhw import ProductTable, parse
from amhw.datasets import balanced, data_source
from amhw.network.inference import Inference
from amhw.network.layers import Convolution, Linear
from amhw.network.models import lenet5
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.training import train
from amhw.nn import TrainingRecipe, fine_tune
from amhw.workers import executor

Row = dict[str, Any]

SHARES = {"full": 1.0, "half": 0.5}
ACTIVATIONS = ("relu", "abs")
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""The 97.5 % quantile for so many seeds."""


def network_of(width: str, activation: str) -> Network:
    """LeNet-5 with a share of its channels."""
    share = SHARES[width]
    layers = tuple(
        replace(layer, outputs=round(share * layer.outputs))
        if isinstance(layer, Convolution | Linear) and layer is not lenet5.NETWORK.layers[-1]
        else layer
        for layer in lenet5.NETWORK.layers
    )
    network = replace(lenet5.NETWORK, name=f"{width} LeNet-5", layers=layers)
    return network.absolute() if activation == "abs" else network


def parameters(network: Network) -> int:
    """Weights and biases."""
    shapes = [network.weight_shape(layer) for layer in network.multiplying]
    return sum(shape[0] + prod(shape) for shape in shapes)


def job(width: str, activation: str, seed: int, data: Path | None, epochs: int, tuning: int, name: str) -> Row:
    """Accuracies of one network, 0…1."""
    source, table, network = data_source(data), ProductTable.of(parse(name)), network_of(width, activation)
    training = source.calibration if data is None else source.training
    trained = train(network, training, source.identity, epochs, seed)
    exact = quantise(trained, balanced(training).images)
    tables = dict.fromkeys(network.convolutions, table)
    tuned = fine_tune(trained, tables, training, TrainingRecipe(epochs=tuning, seed=seed))
    return {
        "width": width,
        "activation": activation,
        "seed": seed,
        "epochs": epochs,
        "tuning": tuning,
        "multiplier": name,
        "training": training.sha256,
        "exact": float(Inference(exact).correct(source.test).mean()),
        "mask": float(Inference(tuned, tables).correct(source.test).mean()),
    }


def interval(values: list[float]) -> str:
    """Mean and 95 % interval of shares, in points."""
    points = [100 * value for value in values]
    if len(points) not in STUDENT:
        return f"{fmean(points):6.2f}"
    return f"{fmean(points):6.2f} ± {STUDENT[len(points)] * stdev(points) / len(points) ** 0.5:.2f}"


@click.command()
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--multiplier", default="mul_u8s8_pp_0_0_0_0_0_0_c0_c0", show_default=True)
@click.option("--seeds", default=5, show_default=True)
@click.option("--epochs", default=10, show_default=True, help="From scratch.")
@click.option("--tuning", default=3, show_default=True, help="Epochs through the multiplier.")
@click.option("--workers", type=int)
@click.option("--out", type=click.Path(path_type=Path), default=Path("absolute.jsonl"), show_default=True)
def main(
    data: Path | None, multiplier: str, seeds: int, epochs: int, tuning: int, workers: int | None, out: Path
) -> None:
    source = data_source(data)
    training = (source.calibration if data is None else source.training).sha256
    asked = {"epochs": epochs, "tuning": tuning, "multiplier": multiplier, "training": training}
    kept = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    found = {(row["width"], row["activation"], row["seed"]): row for row in kept if asked.items() <= row.items()}
    wanted = [(width, one, seed) for width in SHARES for seed in range(seeds) for one in ACTIVATIONS]
    with executor(workers) as pool, out.open("a") as lines:
        left = [key for key in wanted if key not in found]
        for done in as_completed([pool.submit(job, *key, data, epochs, tuning, multiplier) for key in left]):
            row = done.result()
            found[row["width"], row["activation"], row["seed"]] = row
            print(json.dumps(row), file=lines, flush=True)
    print(f"{seeds} seeds, {epochs} epochs, then {tuning} through {multiplier} in the convolutions; points")
    print(
        f"{'network':8}{'parameters':>11}  {'activation':11}{'exact products':>16}{multiplier.partition('_pp_')[2]:>18}"
    )
    for width in SHARES:
        for activation in ACTIVATIONS:
            rows = [found[width, activation, seed] for seed in range(seeds)]
            columns = [interval([row[which] for row in rows]) for which in ("exact", "mask")]
            count = parameters(network_of(width, activation))
            print(f"{width:8}{count:>11,}  {activation:11}{columns[0]:>16}{columns[1]:>18}")
        pairs = [(found[width, "abs", seed], found[width, "relu", seed]) for seed in range(seeds)]
        columns = [interval([one[which] - other[which] for one, other in pairs]) for which in ("exact", "mask")]
        print(f"{'':8}{'':>11}  {'abs − relu':11}{columns[0]:>16}{columns[1]:>18}")


if __name__ == "__main__":
    main()
