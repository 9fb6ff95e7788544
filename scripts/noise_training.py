"""Does training with noise prepare for a multiplier's errors? python scripts/noise_training.py [NAME]

LeNet-5 is fine-tuned three ways from the shipped float network, with the same recipe: with exact products
(quantisation-aware training), with Gaussian noise of the multiplier's measured mean and variance, and through the
multiplier's table. Each result classifies the test images exactly, under that noise, and with the table. Noise is
drawn for every sum, twice; training sees the packaged 5,000 training images unless a folder is given.
"""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch

from amhw import ProductTable, parse
from amhw.datasets import balanced, data_source
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network, network
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import pixels, real_valued
from amhw.nn import TrainingRecipe, fine_tune
from amhw.nn.finetune import trainable
from amhw.nn.noise import measured_noise
from amhw.nn.swap import swapped_layers

DRAWS = 2


def under_noise(net: QuantisedNetwork, noise: dict[str, tuple[float, float]], images: np.ndarray) -> np.ndarray:
    """Predictions int64[draws, N] with noise in every sum of the layers."""
    model = trainable(net, real_valued(net), {}, images[:300]).train()
    for name, values in noise.items():
        swapped_layers(model)[name].noise = values
    torch.manual_seed(0)
    draws = []
    with torch.no_grad():
        for _ in range(DRAWS):
            parts = [model(pixels(images[i : i + 500])) for i in range(0, len(images), 500)]
            draws.append(torch.cat(parts).argmax(dim=1).numpy())
    return np.stack(draws)


@click.command()
@click.argument("name", default="mul_u8s8_pp_0_0_0_0_0_e0_f0_f8")
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--epochs", default=TrainingRecipe.epochs)
@click.option("--seeds", default=2)
def main(name: str, data: Path | None, epochs: int, seeds: int) -> None:
    table = ProductTable.of(parse(name))
    source = data_source(data)
    training = source.calibration if data is None else source.training
    test, start = source.test, float_network()
    tables = {"conv1": table, "conv2": table}
    noise = measured_noise(network(), tables, balanced(training, 20).images)
    print(f"{name}: {', '.join(f'{n}: mean {m:.1f}, deviation {d:.1f} a product' for n, (m, d) in noise.items())}")
    print(f"{'trained with':18}{'evaluated: exactly':>20}{'under noise':>14}{'with the table':>16}")
    kinds: tuple[tuple[str, dict[str, ProductTable], dict[str, tuple[float, float]] | None], ...] = (
        ("exact products", {}, None),
        ("noise", {}, noise),
        ("the table", tables, None),
    )
    for title, multipliers, added in kinds:
        found = []
        for seed in range(seeds):
            recipe = replace(TrainingRecipe(), epochs=epochs, seed=seed)
            net = fine_tune(start, multipliers, training, recipe, noise=added)
            found.append(
                (
                    Inference(net).correct(test).mean(),
                    (under_noise(net, noise, test.images) == test.labels).mean(),
                    Inference(net, tables).correct(test).mean(),
                )
            )
        exact, noisy, real = 100 * np.mean(found, axis=0)
        print(f"{title:18}{exact:20.2f}{noisy:14.2f}{real:16.2f}", flush=True)


if __name__ == "__main__":
    main()
