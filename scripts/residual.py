"""`approximate` on a network that is no LeNet: python scripts/residual.py [--data DATA] [--multiplier NAME]

A small residual network (two blocks, batch normalisation, global pooling, 18 thousand weights) is trained in floating
point on the data set's training images (default: the packaged 5,000 of MNIST), its convolutions are swapped for the
multiplier, and it is fine-tuned. Accuracy is of its test images.
"""

from pathlib import Path

import click
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from amhw import parse
from amhw.datasets import DataSet, data_source
from amhw.nn import approximate
from amhw.nn.swap import swapped_layers


class Block(nn.Module):
    """Two 3×3 convolutions and a way around them."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, out, 3, stride=2, padding=1)
        self.second = nn.Conv2d(out, out, 3, padding=1)
        self.around = nn.Conv2d(channels, out, 1, stride=2)
        self.normal1, self.normal2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.normal1(self.first(x)))
        return torch.relu(self.normal2(self.second(y)) + self.around(x))


def residual() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        Block(8, 16),
        Block(16, 32),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def trained(model: nn.Module, data: DataSet, epochs: int, rate: float) -> nn.Module:
    images, labels = torch.tensor(np.array(data.images)), torch.tensor(data.labels.astype(np.int64))
    steps = epochs * (len(data) // 64)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, cycle_momentum=False)
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(data))[: len(data) // 64 * 64].view(-1, 64):
            loss = functional.cross_entropy(model(images[chosen].float() / 255), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model


def accuracy(model: nn.Module, data: DataSet) -> float:
    model.eval()
    with torch.no_grad():
        parts = [
            model(torch.tensor(np.array(data.images[i : i + 500])).float() / 255).argmax(dim=1).numpy()
            for i in range(0, len(data), 500)
        ]
    return float((np.concatenate(parts) == data.labels).mean())


@click.command()
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--multiplier", default="mul_u8s8_pp_0_0_0_0_0_0_f0_f0")
@click.option("--epochs", default=4)
def main(data: Path | None, multiplier: str, epochs: int) -> None:
    source = data_source(data)
    training = source.calibration if data is None else source.training
    test = source.test
    torch.manual_seed(0)
    model = trained(residual(), training, 2 * epochs, 1e-2)
    print(f"{training.name}: float {100 * accuracy(model, test):.2f} %", flush=True)
    inputs = torch.tensor(np.array(training.images[:200])).float() / 255
    for name in ("mul_u8s8_pp_full", multiplier):
        swapped = approximate(model, parse(name), inputs=inputs, input_scale=1 / 255)
        before = accuracy(swapped, test)
        after = accuracy(trained(swapped, training, epochs, 3e-3), test)
        count = len(swapped_layers(swapped))
        print(f"{name} in {count} convolutions: {100 * before:.2f} %, fine-tuned {100 * after:.2f} %", flush=True)


if __name__ == "__main__":
    main()
