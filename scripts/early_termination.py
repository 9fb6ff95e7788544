"""Products that early termination spares in the ReLU layers of a network, and what speculation costs: the table of
docs/effort.md.

    python scripts/early_termination.py [--network FILE] [--data DATA] [--images N]

θ is chosen on training images: the least that loses no more than 0.1 points of them.
"""

import argparse
from pathlib import Path

import numpy as np

from amhw.datasets import DataSet, data_source
from amhw.effort.termination import ORDERS, EarlySums
from amhw.network.inference import Inference
from amhw.network.models import lenet5
from amhw.network.quantised import QuantisedNetwork

TRUSTS = (0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.0)

ALLOWED = 0.001
"""Of the training images, that a θ may lose."""


def early(network: QuantisedNetwork, data: DataSet, order: str, trust: float) -> tuple[float, dict[str, EarlySums]]:
    """Accuracy, and each ReLU layer's counts."""
    layers = {
        layer.name: EarlySums(layer, order, trust)
        for layer in network.layers
        if layer.requantisation is not None and layer.requantisation.minimum == 0
    }
    return float(Inference(network, sums=layers).correct(data).mean()), layers


def line(what: str, accuracy: float, exact: float, layers: dict[str, EarlySums]) -> str:
    products = sum(each.products for each in layers.values())
    each = "  ".join(f"{name} {1 - counts.needed / counts.products:5.1%}" for name, counts in layers.items())
    spared, together = (
        1 - sum(getattr(counts, which) for counts in layers.values()) / products for which in ("needed", "slowest")
    )
    return f"{what:22} {100 * (exact - accuracy):6.2f} {spared:7.1%} {together:7.1%}  {each}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    arguments = parser.parse_args()
    network = lenet5.network() if arguments.network is None else QuantisedNetwork.load(arguments.network)
    source = data_source(arguments.data)
    test = source.test.first(arguments.images)
    training = source.calibration.taken(
        slice(None, None, max(1, len(source.calibration) // arguments.images)), "training"
    )
    exact, known = (float(Inference(network).correct(data).mean()) for data in (test, training))
    print(f"{network.name}: {exact:.2%} of {len(test)} test images")
    print("order, θ                 lost  spared  together  spared in each layer")
    for order in ORDERS:
        print(line(f"{order}, 1", *_measured(network, test, order, 1.0, exact)))
        chosen = 1.0
        for trust in TRUSTS if order != "signs" else ():
            accuracy, _ = early(network, training, order, trust)
            if known - accuracy > ALLOWED:
                break
            chosen = trust
        if chosen < 1:
            print(line(f"{order}, {chosen:g}", *_measured(network, test, order, chosen, exact)))
    weights = np.concatenate([layer.matrix.ravel() for layer in network.layers])
    print(f"weights that are 0: {np.mean(weights == 0):.1%}")


def _measured(
    network: QuantisedNetwork, test: DataSet, order: str, trust: float, exact: float
) -> tuple[float, float, dict[str, EarlySums]]:
    accuracy, layers = early(network, test, order, trust)
    return accuracy, exact, layers


if __name__ == "__main__":
    main()
