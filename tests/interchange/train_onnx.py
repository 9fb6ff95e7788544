"""A small torch model trained on a data set and exported by PyTorch's own exporter, as a user's would be.

python tests/interchange/train_onnx.py lenet|mobile|residual DATA OUT.onnx [EPOCHS]
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch_models import Mobile, Residual, lenet

from amhw.datasets import DataSet, data_source
from amhw.network.real import pixels

BATCH = 128


def trained(model: nn.Module, data: DataSet, epochs: int, seed: int = 0) -> nn.Module:
    """`model` after some passes over the data: Adam, one-cycle rate, cross-entropy."""
    torch.manual_seed(seed)
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.reset_parameters()
    steps = len(data) // BATCH
    optimiser = torch.optim.AdamW(model.parameters(), 0.01, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=epochs * steps, cycle_momentum=False)
    model.train()
    for _ in range(epochs):
        for chosen in torch.randperm(len(data))[: steps * BATCH].split(BATCH):
            x, labels = pixels(data.images[chosen.numpy()]), torch.tensor(data.labels[chosen.numpy()]).long()
            loss = functional.cross_entropy(model(x), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def exported(model: nn.Module, shape: tuple[int, ...], out: Path) -> Path:
    """By the exporter that needs no further package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, *shape),),
            out,
            dynamo=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}},
        )
    return out


if __name__ == "__main__":
    kind, path, name, *more = sys.argv[1:]
    source = data_source(None if path == "mnist" else path)
    training = source.calibration if path == "mnist" else source.training
    kinds: dict[str, Callable[..., nn.Module]] = {"lenet": lenet, "mobile": Mobile, "residual": Residual}
    made = kinds[kind](training.shape[0], classes=training.classes)
    print(exported(trained(made, training, int(more[0]) if more else 6), training.shape, Path(name)))
