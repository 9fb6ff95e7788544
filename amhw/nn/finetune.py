"""Fine-tuning: a trained network learns to live with its multipliers.

Cross-entropy plus distillation from the float network (Hinton, Vinyals and Dean, "Distilling the knowledge in a
neural network", 2015), Adam with a one-cycle learning rate, the images moved a little as in `amhw.network.training`,
and an exponential moving average of the weights. After each epoch the averaged network, in integers, classifies
training images that were held out; the best epoch is the result. Test images are never seen.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from amhw.datasets import DataSet
from amhw.network.inference import Inference, check_operands
from amhw.network.module import NetworkModule
from amhw.network.quantised import Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.real import FloatNetwork, pixels, real_valued
from amhw.network.training import augmented
from amhw.nn.joins import ApproxAdd, ApproxAverage
from amhw.nn.swap import AnyMultiplier, approximate, exact_table, export, swapped_layers, table_of
from amhw.refusal import Refusal

_CALIBRATION_IMAGES = 300
_LARGEST_PARAMETER = 80
"""Far above any weight or logarithm of a scale; e^80 is still a float32."""


class Diverged(Refusal):
    """Training has run away: its loss, or a parameter, is beyond all bounds."""


@dataclass(frozen=True)
class TrainingRecipe:
    """How to fine-tune.

    Attributes:
        epochs: passes over the training images that are not held out.
        batch: images a step.
        learning_rate: the highest one, for weights and biases.
        scale_learning_rate: the highest one for the scales' logarithms.
        distillation: the float network's share of the loss.
        temperature: by which both networks' logits are divided for it.
        averaged_steps: horizon of the moving average.
        patience: epochs without a better one after which to stop; None: never.
        seed: of the order, the augmentation and the noise.
    """

    epochs: int = 8
    batch: int = 256
    learning_rate: float = 2e-3
    scale_learning_rate: float = 2e-3
    distillation: float = 0.7
    temperature: float = 3.0
    averaged_steps: int = 100
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 1:
            raise Refusal(f"{self.epochs} epochs of batches of {self.batch}: wanted at least 1 of each")
        if self.patience is not None and self.patience < 1:
            raise Refusal(f"a patience of {self.patience} epochs: wanted at least 1, or None")
        for what in ("learning_rate", "scale_learning_rate", "temperature"):
            if not 0 < getattr(self, what) < math.inf:
                raise Refusal(f"{what.replace('_', ' ')} {getattr(self, what)}: wanted a positive number")


@dataclass(frozen=True)
class TrainingProgress:
    """Where a fine-tuning is: after step `step` of `steps`, with `loss`; `accuracy` of the held-out training
    images at the end of an epoch, else None."""

    step: int
    steps: int
    epoch: int
    loss: float
    accuracy: float | None = None


def fine_tune(
    start: FloatNetwork | QuantisedNetwork,
    multipliers: Mapping[str, AnyMultiplier],
    data: DataSet,
    recipe: TrainingRecipe = TrainingRecipe(),
    *,
    teacher: FloatNetwork | None = None,
    checkpoint: Path | None = None,
    noise: Mapping[str, tuple[float, float]] | None = None,
    report: Callable[[TrainingProgress], None] = lambda progress: None,
) -> QuantisedNetwork:
    """`start` trained with each layer's multiplier, in integers.

    Args:
        start: a float network, of which scales are calibrated first; or a quantised one, whose weights, scales and
            input rounding are where training starts.
        multipliers: by layer name; layers that it does not name multiply exactly: the operands of `start`, or u8s8.
        data: training images; one in twelve is held out to choose the epoch by.
        recipe: how.
        teacher: what to distil from; default: `start`, if that is a float network.
        checkpoint: a file written after every epoch, from which an interrupted training of the same kind continues
            to the same result, on the same machine.
        noise: by layer, mean and standard deviation of a product's error: training multiplies exactly and adds
            Gaussian noise to the sums instead. Give such layers no multiplier.
        report: is told of every step.

    Raises:
        Diverged: the loss is no longer a number; a lower learning rate may help.
        Refusal: a table does not fit, or the checkpoint is of another training.
    """
    start.network.check_images(data)
    start.network.check_layers(multipliers)
    if isinstance(start, QuantisedNetwork):
        network = real_valued(start, {name: table_of(multiplier) for name, multiplier in multipliers.items()})
    else:
        network = start
    teacher = teacher if teacher is not None else (start if isinstance(start, FloatNetwork) else None)
    training, held_out = split(data)
    model = trainable(start, network, multipliers, training.images)
    layers = swapped_layers(model)
    for name, (mean, deviation) in (noise or {}).items():
        if name not in layers:
            raise Refusal(f"no layer {name}; this network has {', '.join(layers)}")
        layers[name].noise = (mean, deviation)
    tables = {name: layer.products.table for name, layer in layers.items()}
    export(model)  # what cannot become integers is refused now rather than after an epoch

    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        identity = f"{network.sha256} {[(n, t.sha256) for n, t in tables.items()]} {data.sha256} {recipe} {noise}"
        best = _Training(model, teacher, training, held_out, recipe, identity, checkpoint).run(report)
    title = f"{start.name.split(', fine-tuned')[0]}, fine-tuned {recipe.epochs} epochs, seed {recipe.seed}"
    return export(best, title)


def split(data: DataSet) -> tuple[DataSet, DataSet]:
    """Training images, and every twelfth held out.

    Raises:
        Refusal: there are fewer than twelve.
    """
    if len(data) < 12:
        raise Refusal(f"{data.name} has {len(data)} images; wanted at least 12 to train on")
    held = np.arange(len(data)) % 12 == 11
    return data.taken(~held, f"{data.name}, 11 of 12"), data.taken(held, f"{data.name}, 1 of 12")


def trainable(
    start: FloatNetwork | QuantisedNetwork,
    network: FloatNetwork,
    multipliers: Mapping[str, AnyMultiplier],
    images: np.ndarray,
) -> NetworkModule:
    """The model to train: `network` with all layers swapped; with the scales of `start` if it has any."""
    operands = {layer.name: layer.operands for layer in start.layers if isinstance(layer, QuantisedLayer)}
    tables = {
        name: table_of(multipliers[name]) if name in multipliers else exact_table(operands.get(name, Operands()))
        for name in network.layer_names
    }
    if isinstance(start, QuantisedNetwork):
        for name in multipliers:
            check_operands(start[name], tables[name])
    sample = pixels(images[:: max(1, len(images) // _CALIBRATION_IMAGES)])
    model = approximate(network.module(), tables, inputs=sample)
    assert isinstance(model, NetworkModule)
    if isinstance(start, QuantisedNetwork):
        scales = start.code_scales
        for name, swapped in swapped_layers(model).items():
            given, real = start[name], network[name]
            swapped.weight.data.copy_(torch.tensor(real.weights))
            swapped.bias.data.copy_(torch.tensor(real.bias))
            swapped.grid.set(given.activation_scale)
            swapped.log_weight_scale.data.fill_(math.log(given.weight_scale))
            swapped.input_rounding = given.input_rounding
            if swapped.output is not None:
                swapped.output.grid.set(scales[name])
        for name, part in model.named_children():
            if isinstance(part, ApproxAdd | ApproxAverage):
                part.output.grid.set(scales[name])
    return model


class _Training:
    """The state of one training, saved after every epoch."""

    def __init__(
        self,
        model: NetworkModule,
        teacher: FloatNetwork | None,
        training: DataSet,
        held_out: DataSet,
        recipe: TrainingRecipe,
        identity: str,
        checkpoint: Path | None,
    ) -> None:
        self.recipe, self.held_out, self.identity, self.checkpoint = recipe, held_out, identity, checkpoint
        self.images = torch.tensor(np.asarray(training.images))
        self.labels = torch.tensor(training.labels.astype(np.int64))
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(model).eval()
        self.best = copy.deepcopy(self.averaged)
        self.best_accuracy, self.best_epoch, self.epoch, self.step = -1.0, 0, 0, 0
        self.teacher = None
        if teacher is not None:
            self.teacher = teacher.module().to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.batch = min(recipe.batch, len(training))
        self.steps_an_epoch = len(training) // self.batch
        self.steps = recipe.epochs * self.steps_an_epoch
        scales: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            (scales if name.endswith("_scale") else others).append(parameter)
        self.optimiser = torch.optim.Adam(
            [{"params": others, "lr": recipe.learning_rate}, {"params": scales, "lr": recipe.scale_learning_rate}],
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            [recipe.learning_rate, recipe.scale_learning_rate],
            total_steps=self.steps,
            # A tenth of the steps to warm up; few steps must not make that exactly one, by which torch would divide.
            pct_start=0.1 if self.steps > 20 else 0.45,
            cycle_momentum=False,
        )
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)

    def run(self, report: Callable[[TrainingProgress], None]) -> NetworkModule:
        recipe = self.recipe
        while self.epoch < recipe.epochs:
            if recipe.patience is not None and self.epoch - self.best_epoch >= recipe.patience:
                break
            self.model.train()
            order = torch.randperm(len(self.images))
            loss = math.nan
            for start in range(0, self.steps_an_epoch * self.batch, self.batch):
                loss = self._step(order[start : start + self.batch])
                report(TrainingProgress(self.step, self.steps, self.epoch + 1, loss))
            self.epoch += 1
            accuracy = self._accuracy()
            if accuracy >= self.best_accuracy:
                # Of equals the later one is the result, but only a better one is worth waiting on for.
                if accuracy > self.best_accuracy:
                    self.best_epoch = self.epoch
                self.best_accuracy = accuracy
                self.best.load_state_dict(self.averaged.state_dict())
            self._save()
            report(TrainingProgress(self.step, self.steps, self.epoch, loss, accuracy))
        return self.best

    def _step(self, chosen: torch.Tensor) -> float:
        recipe = self.recipe
        x = augmented(self.images[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
        logits = self.model(x)
        loss = functional.cross_entropy(logits, self.labels[chosen])
        if self.teacher is not None and recipe.distillation:
            with torch.no_grad():
                wanted = functional.log_softmax(self.teacher(x) / recipe.temperature, dim=1)
            found = functional.log_softmax(logits / recipe.temperature, dim=1)
            divergence = functional.kl_div(found, wanted, reduction="batchmean", log_target=True)
            loss = torch.lerp(loss, divergence * recipe.temperature**2, recipe.distillation)
        self.optimiser.zero_grad()
        loss.backward()
        value = float(loss.detach())
        self.step += 1
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        self.optimiser.step()
        for name, parameter in self.model.named_parameters():
            if not bool((parameter.detach().abs() < _LARGEST_PARAMETER).all()):
                raise self._diverged(f"{name} is beyond all bounds")
        self.schedule.step()
        weight = 1 / min(self.step, recipe.averaged_steps)
        with torch.no_grad():
            for mean, parameter in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(parameter, weight)
        return value

    def _diverged(self, why: str) -> Diverged:
        kept = f"; {self.checkpoint} holds epoch {self.epoch}" if self.checkpoint and self.epoch else ""
        return Diverged(f"{why} at step {self.step} of {self.steps}; try a lower learning rate{kept}")

    def _accuracy(self) -> float:
        tables = {name: layer.products.table for name, layer in swapped_layers(self.averaged).items()}
        return float(Inference(export(self.averaged), tables).correct(self.held_out).mean())

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        partial = self.checkpoint.with_name(self.checkpoint.name + ".partial")
        torch.save({"identity": self.identity, **self._state()}, partial)
        partial.replace(self.checkpoint)

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "counts": [self.epoch, self.step, self.best_epoch],
            "best_accuracy": self.best_accuracy,
        }

    def _resume(self, checkpoint: Path) -> None:
        try:
            state = torch.load(checkpoint, weights_only=True)
            identity = state["identity"]
        except Exception as error:  # torch raises many kinds for a damaged file
            raise Refusal(f"{checkpoint} is no checkpoint of a fine-tuning; remove it or name another") from error
        if identity != self.identity:
            raise Refusal(f"{checkpoint} is of another start, multiplier, data or recipe; remove it or name another")
        for part in ("model", "averaged", "best", "optimiser", "schedule"):
            getattr(self, part).load_state_dict(state[part])
        torch.set_rng_state(state["random"])
        self.epoch, self.step, self.best_epoch = state["counts"]
        self.best_accuracy = state["best_accuracy"]
