"""Accuracy of any network predicted without simulating, against simulation.

    python scripts/predict_network.py NET.npz DATA

Multipliers of the first population of predict_accuracy.py, evenly over the range of predicted losses, serve all
convolutions. The regression is fitted on every other one, with training images; the others are predicted. Truth is the
accuracy on the first test images.
"""

from pathlib import Path

import click
import numpy as np
import torch
from predict_accuracy import chosen, first_population
from scipy.stats import spearmanr

from amhw import ProductTable
from amhw.datasets import DataSet, balanced, data_source
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork
from amhw.nn.predict import Predictor


def accuracy(network: QuantisedNetwork, table: ProductTable, data: DataSet) -> float:
    return float(Inference(network, dict.fromkeys(network.convolutions, table)).correct(data).mean())


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--images", default=300, show_default=True, help="Training images that the prediction sees.")
@click.option("--truth", default=2000, show_default=True, help="Test images that say how accurate a multiplier is.")
@click.option("--a-bin", default=6, show_default=True, help="Multipliers of each bin of predicted losses.")
def main(file: Path, data: Path, images: int, truth: int, a_bin: int) -> None:
    torch.set_num_threads(1)
    network, source = QuantisedNetwork.load(file), data_source(data)
    test = source.test.first(truth)
    predictor = Predictor(network, network.convolutions, balanced(source.representative, images // source.test.classes))
    tables = chosen(predictor, first_population(), a_bin)
    found = np.array([accuracy(network, table, test) for table in tables])
    exact = float(Inference(network).correct(test).mean())
    fitted, others = slice(0, None, 2), slice(1, None, 2)
    model = predictor.fit(tables[fitted], found[fitted].tolist())
    predicted = np.array([model.predict(table) for table in tables[others]])
    print(f"{file}: exact {100 * exact:.2f} % of {len(test)} test images")
    print(f"{len(found[fitted])} multipliers fitted, {len(predicted)} predicted")
    rank = spearmanr(predicted, found[others]).statistic
    alone = spearmanr([predictor.survivors(table) for table in tables[others]], found[others]).statistic
    print(f"rank correlation {rank:.3f}; of the survivors alone, before any regression, {alone:.3f}")
    for most in (2.0, 5.0, 100.0):
        near = 100 * (exact - found[others]) <= most
        error = 100 * (predicted - found[others])[near]
        if near.any():
            print(
                f"losses up to {most:g} points: {int(near.sum())} multipliers, deviation {error.std():.2f}, mean "
                f"{error.mean():+.2f} points"
            )


if __name__ == "__main__":
    main()
