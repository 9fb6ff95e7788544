"""Training a network in floating point.

Cross-entropy, AdamW with decoupled weight decay, one-cycle learning rate, small random rotations, scalings,
shears and shifts of each image, and an exponential moving average of the weights, which is the result.
Seeded: the same seed, data, thread count and torch give the same network.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from amhw.datasets import DataSet, Identity
from amhw.network.module import NetworkModule
from amhw.network.network import Network
from amhw.network.real import FloatNetwork
from amhw.refusal import Refusal

EPOCHS = 20
BATCH = 256
_LEARNING_RATE = 6e-3
_WEIGHT_DECAY = 2e-2
_AVERAGED_EPOCHS = 1.0


def train(
    network: Network,
    data: DataSet,
    trained_on: Identity,
    epochs: int = EPOCHS,
    seed: int = 0,
    report: Callable[[int, int, float], None] = lambda step, steps, loss: None,
) -> FloatNetwork:
    """`network` trained on `data`, training images of the data set `trained_on`.

    `report(step, steps, loss)` is called after every step.

    Raises:
        Refusal: the images do not fit the network, `epochs` is below 1, or the loss is no longer a number.
    """
    network.check_images(data)
    if epochs < 1:
        raise Refusal(f"{epochs} epochs: wanted at least 1")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _train(network.on(trained_on), data, epochs, report)
    return FloatNetwork.of(model, name=f"{network.name}, {epochs} epochs, seed {seed}, data {data.sha256[:12]}")


def _train(network: Network, data: DataSet, epochs: int, report: Callable[[int, int, float], None]) -> NetworkModule:
    images = torch.tensor(np.asarray(data.images))
    labels = torch.tensor(data.labels.astype(np.int64))
    batch = min(BATCH, len(data))
    steps_an_epoch = len(data) // batch
    steps = epochs * steps_an_epoch

    # Channels last: the small convolutions run about twice as fast.
    model = NetworkModule(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = NetworkModule(network)
    averaged.load_state_dict(model.state_dict())
    optimiser = torch.optim.AdamW(model.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY, fused=True)
    warming = 0.2 if steps != 5 else 0.25  # torch would divide by 0.2·5 − 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, _LEARNING_RATE, total_steps=steps, pct_start=warming, cycle_momentum=False
    )
    step = 0
    for _ in range(epochs):
        order = torch.randperm(len(data))
        for start in range(0, steps_an_epoch * batch, batch):
            chosen = order[start : start + batch]
            x = augmented(images[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(model(x), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            step += 1
            _average(averaged, model, step, _AVERAGED_EPOCHS * steps_an_epoch)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise Refusal(f"the loss is {value} at step {step} of {steps}; try another seed")
            report(step, steps, value)
    return averaged


def _average(averaged: nn.Module, model: nn.Module, step: int, horizon: float) -> None:
    """Move the average towards the model: over all steps at first, over the last `horizon` steps later."""
    weight = 1 / min(step, max(horizon, 1.0))
    with torch.no_grad():
        for mean, value in zip(averaged.parameters(), model.parameters(), strict=True):
            mean.lerp_(value, weight)


def augmented(x: torch.Tensor) -> torch.Tensor:
    """Each image rotated by up to ±10°, scaled and sheared by up to ±10 %, shifted by up to ±2 pixels."""
    r = torch.rand(6, len(x)) * 2 - 1
    angle = r[0] * (math.pi / 18)
    cos, sin = torch.cos(angle), torch.sin(angle)
    across, down, shear = 1 + 0.1 * r[1], 1 + 0.1 * r[2], 0.1 * r[3]
    shift_down, shift_across = (4 / side for side in x.shape[2:])  # grid_sample's coordinates run from −1 to 1
    rows = (
        torch.stack([cos * across, shear - sin * down, shift_across * r[4]], dim=1),
        torch.stack([sin * across, cos * down, shift_down * r[5]], dim=1),
    )
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, align_corners=False)
