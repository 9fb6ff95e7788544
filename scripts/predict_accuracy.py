"""Accuracy predicted without simulating, against simulation: python scripts/predict_accuracy.py

Multipliers of every family and random masks serve both convolutions of the shipped network, without retraining. Those
of which at least half of the predicted images survive are simulated on 2,000 images of the packaged training slice;
the regression is fitted on every other one of them, and predicts the rest, which are compared with a simulation on
every fifth test image. Speed compares processor times: of one
prediction, with a table never seen before, and of one evaluation of the 10,000 test images.
"""

import time

import numpy as np

from amhw import Masked, ProductTable
from amhw.families import Drum, Mitchell, SignMagnitude, StaticSegment, broken_array, perforated
from amhw.families.catalogue import representatives
from amhw.lenet.data import DataSet, balanced, mnist_slice, mnist_test
from amhw.lenet.inference import Inference
from amhw.lenet.shipped import network
from amhw.multiplier import Multiplier
from amhw.nn.predict import Predictor

LAYERS = ("conv1", "conv2")
OPERANDS = {"width_a": 8, "width_b": 8, "signed_b": True}
RANDOM_MASKS = 400
TO_SIMULATE = 120


def population() -> list[Multiplier]:
    found: list[Multiplier] = [multiplier for _, multiplier in representatives(8, signed_b=True)]
    found += [Masked.columns(k, **OPERANDS) for k in range(3, 11)]
    found += [broken_array(h, v, **OPERANDS) for h in (0, 2, 3, 4) for v in (0, 4, 6, 7, 8, 9) if h + v]
    found += [perforated(range(i), range(j), **OPERANDS) for i in range(7) for j in range(6) if i + j]
    cores = [Drum(bits=k, width_a=8, width_b=8) for k in range(3, 8)]
    cores += [StaticSegment(bits=k, width_a=8, width_b=8) for k in range(4, 8)]
    cores += [Mitchell(bits=k, width_a=8, width_b=8) for k in range(4, 9)]
    found += [SignMagnitude(core=core, signed_b=True) for core in cores]
    random = np.random.default_rng(0)
    weight = np.add.outer(np.arange(8), np.arange(8))
    for _ in range(RANDOM_MASKS):
        keep = weight + random.normal(0, random.uniform(0.3, 2), (8, 8)) >= random.uniform(4, 10)
        rows = tuple(int(row @ (1 << np.arange(8))) for row in keep)
        if any(rows):
            found.append(Masked(rows=rows, **OPERANDS))
    return list({multiplier.name: multiplier for multiplier in found}.values())


def chosen(predictor: Predictor) -> list[ProductTable]:
    """Multipliers over the whole range of predicted survivors from a half up, evenly where there are enough."""
    tables = [ProductTable.of(multiplier) for multiplier in population()]
    survivors = np.array([predictor.survivors(table) for table in tables])
    bins = np.minimum((survivors - 0.5) / 0.5 * 10, 9).astype(int)
    picked = [i for b in range(10) for i in np.flatnonzero((survivors > 0.5) & (bins == b))[: TO_SIMULATE // 10]]
    return [tables[i] for i in picked]


def simulated(table: ProductTable, data: DataSet) -> float:
    return float(Inference(network(), dict.fromkeys(LAYERS, table)).correct(data).mean())


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def main() -> None:
    packaged, test = mnist_slice(), mnist_test()
    predictor = Predictor(network(), LAYERS, balanced(packaged, 20))
    tables = chosen(predictor)
    fit_on = DataSet("every other slice image", packaged.images[1::2][:2000], packaged.labels[1::2][:2000])
    check_on = DataSet("every fifth test image", test.images[::5], test.labels[::5])
    fitted, held_out = tables[::2], tables[1::2]
    model = predictor.fit(fitted, [simulated(table, fit_on) for table in fitted])
    exact = simulated(ProductTable.of(Masked.exact(**OPERANDS)), check_on)
    truth = np.array([simulated(table, check_on) for table in held_out])
    predicted = np.array([model.predict(table) for table in held_out])
    spanned = exact - truth <= 0.5
    deviation = 100 * np.abs(predicted - truth)[spanned]
    rho = np.corrcoef(ranks(predicted[spanned]), ranks(truth[spanned]))[0, 1]
    print(
        f"{len(fitted)} multipliers fitted on; {spanned.sum()} of {len(held_out)} held-out ones lose 50 points or less"
    )
    print(f"true loss {100 * (exact - truth[spanned].max()):.2f}…{100 * (exact - truth[spanned].min()):.2f} points")
    loss = 100 * (exact - truth[spanned])
    for low, high in ((-1, 1), (1, 5), (5, 20), (20, 50)):
        inside = (loss > low) & (loss <= high)
        if inside.any():
            print(
                f"  above {low:2} to {high:2}: {inside.sum():3} multipliers, deviation {deviation[inside].mean():.2f}"
            )
    print(f"mean absolute deviation {deviation.mean():.2f} points (target ≤ 3)   Spearman {rho:.3f} (target ≥ 0.9)")

    start = time.process_time()
    Inference(network(), dict.fromkeys(LAYERS, held_out[0])).correct(test)
    simulation = time.process_time() - start
    fresh = [ProductTable(t.products, t.signed_a, t.signed_b) for t in held_out]  # nothing remembered of them
    start = time.process_time()
    for table in fresh:
        model.predict(table)
    prediction = (time.process_time() - start) / len(fresh)
    ratio = simulation / prediction
    print(f"prediction {1e3 * prediction:.2f} ms, evaluation {1e3 * simulation:.0f} ms: {ratio:.0f}× (target ≥ 1000×)")


if __name__ == "__main__":
    main()
