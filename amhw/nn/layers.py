"""Convolution and linear layers that compute on a product table, bit for bit as an array of such multipliers would.

With activation scale s, weight scale t (both learnt) and the table T, for real inputs x, weights w and bias b:

    a = clamp(⌊x/s + 1/2⌋, lowest, highest)             activation codes
    c = the code whose effective value β(c) is nearest to w/t  (see `amhw.nn.products`)
    y = s·t·(Σ_k T[min(a_k + r, highest), c_k] + ⌊b/(s·t)⌉)

r is the rounding constant added before a multiplier that drops low bits; padding enters as 0. Training
differentiates through the roundings as if they were not there, within their range, which for the scales is
LSQ (Esser et al., "Learned step size quantization", 2020). Scales are kept as logarithms: positive, and a step of
the optimiser changes them by a proportion.

A layer whose outputs are all codes of one `Grid`, because only such layers take them, *requantises*: it sends codes
times that grid's scale, computed when not training with the integer constants of `amhw.network.requantisation`. So a
network of such layers computes what hardware computes from end to end, and exports without a change in any bit.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from amhw.network.requantisation import Requantisation
from amhw.nn.products import Pair, Products, TableSums
from amhw.refusal import Refusal


class Grid(nn.Module):
    """The codes that a tensor is made of: `lowest`…`highest`, each worth `scale`, which is learnt."""

    def __init__(self, lowest: int, highest: int) -> None:
        super().__init__()
        self.lowest, self.highest = lowest, highest
        self.log_scale = nn.Parameter(torch.tensor(0.0))

    @property
    def scale(self) -> float:
        return math.exp(float(self.log_scale.detach()))

    def set(self, scale: float) -> None:
        self.log_scale.data.fill_(math.log(scale))

    def fix(self, scale: float) -> None:
        """Set the scale and leave it out of training: that of a sensor, or of pixels."""
        self.set(scale)
        self.log_scale.requires_grad_(False)

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """The nearest codes, whole numbers in float64; outside of training."""
        return torch.floor(x.double() / self.scale + (0.5 + _TIE)).clamp_(self.lowest, self.highest)


@dataclass(frozen=True)
class Codes:
    """What leaves a layer that requantises: codes of the grid of those that take them, `lowest` (0 after a ReLU) to the
    grid's highest; of |x| where they are `absolute`."""

    grid: Grid
    lowest: int = 0
    absolute: bool = False

    @property
    def highest(self) -> int:
        return self.grid.highest

    @property
    def scale(self) -> float:
        return self.grid.scale

    def rounded(self, x: torch.Tensor) -> torch.Tensor:
        """The nearest multiples of the scale, with a gradient that passes the rounding."""
        scale = self.grid.log_scale.exp()
        return requantised(x, 1 / scale, scale, self)

    def values(self, scaled: torch.Tensor) -> torch.Tensor:
        """clamp(⌊scaled + 1/2⌋)·scale, of |scaled| where codes are absolute."""
        return rounded_half_up(scaled.abs() if self.absolute else scaled, self.lowest, self.highest) * self.scale


class ApproxLayer(nn.Module):
    """What both layers share; `sums_per_weight` says how codes and weights meet.

    Members:
        weight, bias: real values, trained.
        grid: of the activations.
        weight_scale: the real value of one step of the weights' codes.
        input_rounding: r above.
        output: the codes that leave this layer, if it requantises.
        noise: (mean, standard deviation) in units of the product: if set, training multiplies exactly
            and adds this Gaussian noise for each product instead of using the table.
    """

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups = 1
    channel_axis = -1

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, products: Products, grid: Grid | None) -> None:
        super().__init__()
        check_weights(weight)
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(torch.zeros(len(weight)) if bias is None else bias.detach().clone())
        self.products = products
        self.grid = Grid(products.lowest, products.highest) if grid is None else grid
        self._shares_grid = grid is not None
        self.output: Codes | None = None
        self.log_weight_scale = nn.Parameter(torch.tensor(math.log(products.weight_scale(weight))))
        self.input_rounding = products.input_rounding
        self.noise: tuple[float, float] | None = None
        self.input_shape: tuple[int, ...] | None = None

    @property
    def activation_scale(self) -> float:
        return self.grid.scale

    @property
    def weight_scale(self) -> float:
        return math.exp(float(self.log_weight_scale.detach()))

    def calibrate(self, x: torch.Tensor, wanted: torch.Tensor) -> None:
        """Set the scales for inputs like `x` and for the weights; then the size of the weights and the bias, so that
        the outputs have the spread of the `wanted` ones and each output their mean.

        Raises:
            Refusal: inputs are negative, but the multiplier's activations are unsigned; or there are none, or they are
                no numbers.
        """
        if not x.numel():
            raise Refusal("inputs are empty: wanted a batch of what the model takes, to set scales by")
        if not bool(x.isfinite().all()):
            raise Refusal("inputs are not all finite numbers: no scale fits them")
        if self.products.lowest == 0 and float(x.min()) < 0:
            raise Refusal(
                f"inputs reach {float(x.min()):.3g}, but {self.products.table.name} takes unsigned activations: "
                "swap only layers after a ReLU, or take a multiplier whose operand a is signed"
            )
        self.input_shape = tuple(x.shape[1:])
        if self.grid.log_scale.requires_grad and not self._shares_grid:
            self.grid.set(self.products.activation_scale(x, self.input_rounding))
        self.log_weight_scale.data.fill_(math.log(self.products.weight_scale(self.weight)))
        with torch.no_grad():
            found = self._exact_forward(x)
            spread = _spread(found, self.channel_axis)
            if spread > 0:
                gain = _spread(wanted, self.channel_axis) / spread
                self.weight.mul_(gain)
                self.log_weight_scale.add_(math.log(max(gain, 1e-6)))
                found = self._exact_forward(x)
            lacking = wanted - found
            self.bias.add_(lacking.movedim(self.channel_axis, 0).flatten(1).mean(dim=1))

    @property
    def weight_codes(self) -> torch.Tensor:
        """Two's-complement weight codes, int64 of the weight's shape.

        Raises:
            Refusal: a weight is no finite number.
        """
        check_weights(self.weight)
        return self.products.codes(self.weight.detach() / self.log_weight_scale.detach().exp())

    @property
    def unit(self) -> float:
        """The real value of one step of the accumulator."""
        return self.activation_scale * self.weight_scale

    @property
    def bias_codes(self) -> torch.Tensor:
        """The bias in units of the accumulator: whole numbers in float64."""
        return torch.floor(self.bias.detach().double() / self.unit + 0.5)

    def requantisation(self) -> Requantisation | None:
        """The integer constants with which this layer feeds the next; None if it gives real values."""
        output = self.output
        if output is None:
            return None
        return Requantisation.of(self.unit / output.scale, output.highest, output.lowest, output.absolute)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._training_forward(x) if self.training else self._exact_forward(x)

    def _training_forward(self, x: torch.Tensor) -> torch.Tensor:
        check_weights(self.weight)
        scale, weight_scale = self.grid.log_scale.exp(), self.log_weight_scale.exp()
        unit = scale * weight_scale
        codes = _Quantise.apply(x, scale, self.products.lowest, self.products.highest)
        in_steps = self.weight / weight_scale
        nearest = self.products.nearest(in_steps.detach())
        effective = self.products.effective(in_steps, nearest)
        bias = self.bias / unit
        bias = bias + (torch.floor(bias.detach() + 0.5) - bias.detach())
        sums = TableSums.apply(
            codes,
            effective,
            bias,
            self.products.level_codes[nearest],
            self.products,
            self.input_rounding,
            self.stride,
            self.padding,
        ).to(x.dtype)
        if self.noise is not None:
            taps = self.weight[0].numel()
            mean, deviation = self.noise
            sums = sums + (taps * mean + math.sqrt(taps) * deviation * torch.randn_like(sums))
        if self.output is None:
            return sums * unit
        next_scale = self.output.grid.log_scale.exp()
        return requantised(sums, unit / next_scale, next_scale, self.output)

    def _exact_forward(self, x: torch.Tensor) -> torch.Tensor:
        products = self.products
        sums = TableSums.apply(
            self.grid.codes(x).float(),
            self.weight,  # takes no part: there is no gradient here
            self.bias_codes,
            self.weight_codes,
            products,
            self.input_rounding,
            self.stride,
            self.padding,
        ).double()
        constants = self.requantisation()
        if constants is None or self.output is None:
            return (sums * self.unit).to(x.dtype)
        return self.output.values(sums * constants.scale).to(x.dtype)

    def extra_repr(self) -> str:
        out, taps = len(self.weight), tuple(self.weight.shape[1:])
        return f"{out} outputs of {taps}, {self.products.table.name}"


def rounded_half_up(scaled: torch.Tensor, lowest: int, highest: int) -> torch.Tensor:
    """clamp(⌊scaled + 1/2⌋) of float64, in which a sum below 2^31 times a multiplier over 2^shift is exact."""
    return torch.floor(scaled + 0.5).clamp_(lowest, highest)


_TIE = 2.0**-16
"""Inputs that a float's own rounding left just below the middle between two codes still go up."""


class ApproxConv2d(ApproxLayer):
    """A convolution like `torch.nn.Conv2d`, without dilation."""

    channel_axis = 1

    def __init__(self, conv: nn.Conv2d, products: Products, grid: Grid | None = None) -> None:
        check_convolution(conv)
        super().__init__(conv.weight, conv.bias, products, grid)
        self.stride = (int(conv.stride[0]), int(conv.stride[1]))
        self.padding = (int(conv.padding[0]), int(conv.padding[1]))
        self.groups = conv.groups


class ApproxLinear(ApproxLayer):
    """A linear layer like `torch.nn.Linear`, for inputs [N, in]."""

    def __init__(self, linear: nn.Linear, products: Products, grid: Grid | None = None) -> None:
        check_dtype(linear)
        super().__init__(linear.weight, linear.bias, products, grid)


def check_weights(weight: torch.Tensor) -> None:
    """
    Raises:
        Refusal: a weight is no finite number. It would still get some code.
    """
    if not bool(weight.detach().isfinite().all()):
        raise Refusal(f"weights are not all finite numbers: {int((~weight.isfinite()).sum())} of {weight.numel()}")


def check_dtype(module: nn.Conv2d | nn.Linear) -> None:
    """
    Raises:
        Refusal: the weights are not float32.
    """
    if module.weight.dtype != torch.float32:
        raise Refusal(f"weights are {module.weight.dtype}; wanted torch.float32")


def check_convolution(conv: nn.Conv2d) -> None:
    """
    Raises:
        Refusal: the convolution has something that the integer layers do not have.
    """
    check_dtype(conv)
    if set(conv.dilation) != {1}:
        raise Refusal(f"dilation {conv.dilation}; only convolutions without dilation can be swapped")
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        raise Refusal(f"padding {conv.padding!r} of {conv.padding_mode}; wanted a number of zeros")


def _spread(x: torch.Tensor, channel_axis: int) -> float:
    """Standard deviation about each channel's mean, over all channels."""
    return float(x.movedim(channel_axis, 0).flatten(1).var(dim=1).mean().sqrt())


class _Quantise(torch.autograd.Function):
    """clamp(⌊x/scale + 1/2⌋); the gradient passes the rounding where nothing was clamped."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, lowest: int, highest: int) -> torch.Tensor:
        rounded = (x / scale).add_(0.5).floor_()
        ctx.save_for_backward(x, scale, rounded)
        ctx.range = lowest, highest
        return rounded.clamp(lowest, highest)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, scale, rounded = ctx.saved_tensors
        inside = _inside(gradients[0], rounded, *ctx.range)
        grad_x = inside / scale if ctx.needs_input_grad[0] else None
        grad_scale = (x / scale).div_(scale).mul_(inside).sum().neg() if ctx.needs_input_grad[1] else None
        return grad_x, grad_scale, None, None


def requantised(sums: torch.Tensor, ratio: torch.Tensor, scale: torch.Tensor, output: Codes) -> torch.Tensor:
    """clamp(⌊sums·ratio + 1/2⌋)·scale, of |sums| where codes are absolute; the gradient passes the rounding where
    nothing was clamped."""
    if output.absolute:
        sums = sums.abs()
    found: torch.Tensor = _Requantise.apply(sums, ratio, scale, output.lowest, output.highest)
    return found


class _Requantise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, sums: torch.Tensor, ratio: torch.Tensor, scale: torch.Tensor, lowest: int, highest: int
    ) -> torch.Tensor:
        rounded = (sums * ratio).add_(0.5).floor_()
        ctx.save_for_backward(sums, ratio, scale, rounded)
        ctx.range = lowest, highest
        return rounded.clamp(lowest, highest).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        sums, ratio, scale, rounded = ctx.saved_tensors
        gradient = gradients[0]
        grad_scale = rounded.clamp(*ctx.range).mul_(gradient).sum() if ctx.needs_input_grad[2] else None
        inside = _inside(gradient * scale, rounded, *ctx.range)
        grad_ratio = (inside * sums).sum() if ctx.needs_input_grad[1] else None
        return inside.mul_(ratio), grad_ratio, grad_scale, None, None


def _inside(gradient: torch.Tensor, rounded: torch.Tensor, lowest: int, highest: int) -> torch.Tensor:
    """The gradient where the range holds the rounded value, else 0: in one pass over memory."""
    return torch.ops.aten.hardtanh_backward(gradient, rounded, lowest - 0.5, highest + 0.5)
