"""Accuracy predicted without simulating, against simulation: python scripts/predict_accuracy.py [--seed N]

Multipliers serve both convolutions of the shipped network, without retraining. Of a first population (families, and
random masks of seed 0) some are chosen, evenly over the range of predicted losses. The regression is fitted on every
other one of them, with the packaged training images; ten-fold cross-validation within these is what its features and
constants were chosen by. It predicts a third of the rest, and multipliers of a second population: other random masks
(of seed N), and families and parameters that the first one does not have. Truth is the accuracy on the 10,000 test
images.
Speed compares processor times on one thread: of one prediction, with a table never seen before, and of one evaluation
of the 10,000 test images.
"""

import time
from collections.abc import Sequence
from typing import Any

import click
import numpy as np
import torch
from scipy.stats import spearmanr

from amhw import Masked, ProductTable
from amhw.datasets import DataSet, balanced, mnist_slice, mnist_test
from amhw.families import (
    Compensated,
    Compressed,
    Drum,
    LowerOr,
    Mitchell,
    OrCompressed,
    SignMagnitude,
    StaticSegment,
    broken_array,
    perforated,
)
from amhw.families.catalogue import representatives
from amhw.multiplier import Multiplier
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import network
from amhw.nn.predict import Predictor

LAYERS = ("conv1", "conv2")
OPERANDS: dict[str, Any] = {"width_a": 8, "width_b": 8, "signed_b": True}
RANDOM_MASKS = 4000
SURVIVORS = np.array([*np.linspace(0.5, 0.75, 11), 0.8, 0.85, 0.9, 0.95, np.inf])
"""Bins of the predicted share of surviving images; those below 0.75 are narrow because there losses grow fast."""
A_BIN_FIRST, A_BIN_SECOND = 40, 8
WORST = 0.5
"""Deviation is reported for multipliers that lose no more than this."""
FOLDS = 10


def random_masks(seed: int) -> list[Multiplier]:
    random = np.random.default_rng(seed)
    weight = np.add.outer(np.arange(8), np.arange(8))
    found: list[Multiplier] = []
    for _ in range(RANDOM_MASKS):
        keep = weight + random.normal(0, random.uniform(0.3, 2), (8, 8)) >= random.uniform(4, 10)
        rows = tuple(int(row @ (1 << np.arange(8))) for row in keep)
        if any(rows):
            found.append(Masked(rows=rows, **OPERANDS))
    return found


def first_population() -> list[Multiplier]:
    found: list[Multiplier] = [multiplier for _, multiplier in representatives(8, signed_b=True)]
    found += [Masked.columns(k, **OPERANDS) for k in range(3, 11)]
    found += [broken_array(h, v, **OPERANDS) for h in (0, 2, 3, 4) for v in (0, 4, 6, 7, 8, 9) if h + v]
    found += [perforated(range(i), range(j), **OPERANDS) for i in range(7) for j in range(6) if i + j]
    cores: list[Multiplier] = [Drum(bits=k, width_a=8, width_b=8) for k in range(3, 8)]
    cores += [StaticSegment(bits=k, width_a=8, width_b=8) for k in range(4, 8)]
    cores += [Mitchell(bits=k, width_a=8, width_b=8) for k in range(4, 9)]
    found += [SignMagnitude(core=core, signed_b=True) for core in cores]
    return found + random_masks(0)


def second_population(seed: int) -> list[Multiplier]:
    """Nothing of it is in the first one."""
    cores: list[Multiplier] = [LowerOr(lower=k, width_a=8, width_b=8) for k in range(5, 9)]
    cores += [
        Compressed(compressor=c, columns=k, width_a=8, width_b=8) for c in ("momeni", "yang") for k in range(1, 16)
    ]
    found: list[Multiplier] = [SignMagnitude(core=core, signed_b=True) for core in cores]
    logarithmic = [Mitchell(bits=k, unbias=u, width_a=8, width_b=8) for k in range(3, 9) for u in (False, True)]
    found += [SignMagnitude(core=core, signed_b=True, negation="ones") for core in logarithmic]
    found += [OrCompressed.of_columns(list(range(i, j)), **OPERANDS) for i in range(0, 12, 2) for j in range(i + 3, 16)]
    truncated = [Masked.columns(k, **OPERANDS) for k in range(4, 13)]
    found += [Compensated.centred(mask, gated=gated) for mask in truncated for gated in (False, True)]
    found += [broken_array(h, v, **OPERANDS) for h in (1, 5, 6) for v in (1, 3, 5, 7, 10, 11)]
    return found + random_masks(seed)


def chosen(
    predictor: Predictor, population: Sequence[Multiplier], a_bin: int, other: Sequence[Multiplier] = ()
) -> list[ProductTable]:
    """Multipliers over the whole range of predicted survivors, up to `a_bin` of each bin; none of `other`'s tables."""
    seen = {ProductTable.of(multiplier).sha256 for multiplier in other}
    tables = {table.sha256: table for table in map(ProductTable.of, population) if table.sha256 not in seen}
    bins = np.digitize([predictor.survivors(table) for table in tables.values()], SURVIVORS)
    picked = [i for b in range(1, len(SURVIVORS)) for i in np.flatnonzero(bins == b)[:a_bin]]
    return [list(tables.values())[i] for i in picked]


def simulated(table: ProductTable, data: DataSet) -> float:
    return float(Inference(network(), dict.fromkeys(LAYERS, table)).correct(data).mean())


def cross_validated(predictor: Predictor, tables: list[ProductTable], accuracies: np.ndarray) -> np.ndarray:
    """Each table's accuracy as predicted by a regression without it."""
    predicted = np.empty(len(tables))
    fold = np.random.default_rng(0).permutation(len(tables)) % FOLDS
    for f in range(FOLDS):
        rest = np.flatnonzero(fold != f)
        model = predictor.fit([tables[i] for i in rest], accuracies[rest].tolist())
        for i in np.flatnonzero(fold == f):
            predicted[i] = model.predict(tables[i])
    return predicted


def report(title: str, exact: float, truth: np.ndarray, predicted: np.ndarray) -> None:
    spanned = exact - truth <= WORST
    loss, deviation = 100 * (exact - truth[spanned]), 100 * np.abs(predicted - truth)[spanned]
    rho = spearmanr(predicted[spanned], truth[spanned]).statistic
    print(f"\n{title}: {spanned.sum()} of {len(truth)} lose {100 * WORST:.0f} points or less")
    print(f"true loss {loss.min():.2f}…{loss.max():.2f} points")
    for low, high in ((-1, 1), (1, 5), (5, 20), (20, 35), (35, 50)):
        inside = (loss > low) & (loss <= high)
        if inside.any():
            print(
                f"  above {low:2} to {high:2}: {inside.sum():3} multipliers, deviation {deviation[inside].mean():.2f}"
            )
    print(f"mean absolute deviation {deviation.mean():.2f} points (target ≤ 3)   Spearman {rho:.3f} (target ≥ 0.9)")


@click.command()
@click.option("--seed", default=2, help="Of the second population's random masks.")
def main(seed: int) -> None:
    torch.set_num_threads(1)
    packaged, test = mnist_slice(), mnist_test()
    predictor = Predictor(network(), LAYERS, balanced(packaged, 20))
    first = first_population()
    tables = chosen(predictor, first, A_BIN_FIRST)
    fitted, held_out = tables[::2], tables[1::6]
    accuracies = np.array([simulated(table, packaged) for table in fitted])
    model = predictor.fit(fitted, accuracies.tolist())
    exact = ProductTable.of(Masked.exact(**OPERANDS))
    title = "fitted on (training images, each predicted without itself)"
    report(title, simulated(exact, packaged), accuracies, cross_validated(predictor, fitted, accuracies))

    others = chosen(predictor, second_population(seed), A_BIN_SECOND, first)
    start = time.process_time()
    truth = np.array([simulated(table, test) for table in (*held_out, *others)])
    simulation = (time.process_time() - start) / len(truth)
    fresh = [ProductTable(t.products, t.signed_a, t.signed_b) for t in (*held_out, *others)]  # nothing remembered
    start = time.process_time()
    predicted = np.array([model.predict(table) for table in fresh])
    prediction = (time.process_time() - start) / len(fresh)
    right, count = simulated(exact, test), len(held_out)
    report("held out, of the same population", right, truth[:count], predicted[:count])
    report(f"second population, seed {seed}", right, truth[count:], predicted[count:])
    masks = np.array(["_pp_" in table.name for table in others])
    report("  its masks", right, truth[count:][masks], predicted[count:][masks])
    report("  its other families", right, truth[count:][~masks], predicted[count:][~masks])
    ratio = simulation / prediction
    print(
        f"\nprediction {1e3 * prediction:.2f} ms, evaluation {1e3 * simulation:.0f} ms: {ratio:.0f}× (target ≥ 1000×)"
    )


if __name__ == "__main__":
    main()
