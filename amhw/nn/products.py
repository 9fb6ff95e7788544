"""A product table made ready for torch: exact sums on any device, and the gradient that trains through them.

Forward, the sums Σ_k T[x_k, w_k] are the exact integers of `amhw.network.inference`, evaluated in the same two ways:
as one convolution over the table's separable terms, or by gathering table rows.

Backward needs a derivative that a table does not have. Each code is given an *effective value*, α for activations
and β for weights, such that T[a, w] ≈ α(a)·β(w):

    β(w) = Σ_a T[a, w]·a / Σ_a a²          α(a) = Σ_w T[a, w]·β(w) / Σ_w β(w)²

which is exact for tables with one separable term, and where α(a) ≈ a. The gradient is that of α(a)·β(w) with the
rounding of either operand passed straight through (Bengio, Léonard and Courville, "Estimating or propagating
gradients through stochastic neurons", 2013): ∂T/∂a ≈ β(w), ∂T/∂w ≈ α(a). For the exact multiplier this is the
common gradient of quantisation-aware training; for a mask it is that of the coarser grid which the mask leaves.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from amhw.network.inference import (
    MAX_TERMS,
    UNSIGNED_WEIGHTS,
    convolved,
    exact_arithmetic,
    gathered,
    neighbours,
    number_format,
    positions,
    table_rows,
)
from amhw.refusal import Refusal
from amhw.table import ProductTable

Pair = tuple[int, int]

_CLIPPING = np.geomspace(0.1, 1.0, 60)
"""Candidate clipping points as fractions of the largest magnitude."""


class Products(nn.Module):
    """`table` as tensors that follow the layer to its device.

    Members:
        lowest, highest: the range of activation codes: 0…255 for unsigned ones of 8 bits.
        input_rounding: the power of two (or 0) that, added to activation codes, makes their effective values right
            on average: half of the lowest bit that a mask keeps.

    >>> from amhw import parse
    >>> Products(ProductTable.of(parse("mul_u8s8_pp_0_0_0_0_0_0_c0_c0"))).input_rounding
    32

    Raises:
        Refusal: weights cannot be the table's operand b, or all products are zero.
    """

    rows: torch.Tensor
    columns: torch.Tensor
    activation_values: torch.Tensor
    weight_values: torch.Tensor
    levels: torch.Tensor
    level_codes: torch.Tensor
    thresholds: torch.Tensor
    magnitudes: torch.Tensor

    def __init__(self, table: ProductTable) -> None:
        super().__init__()
        if not table.signed_b:
            raise Refusal(UNSIGNED_WEIGHTS.format(name=table.name))
        self.table = table
        self.lowest, self.highest = int(table.values_a.min()), int(table.values_a.max())
        order = np.argsort(table.values_a)
        a, products = table.values_a[order].astype(np.float64), table.products[order]
        beta = a @ products / (a @ a)
        if not beta.any():
            raise Refusal(f"{table.name} multiplies everything to zero: there is nothing to train")
        alpha = products @ beta / (beta @ beta)
        levels, first = np.unique(np.round(beta, 9), return_index=True)
        self.input_rounding = self._offset(a, alpha)

        factors = table.factors(MAX_TERMS)
        self.separable = factors is not None
        # By activation value, so that a code minus `lowest` is an index.
        rows: np.ndarray = products if factors is None else factors.u[:, order]
        columns: np.ndarray = np.zeros((1, products.shape[1])) if factors is None else factors.v
        self.identity = self.separable and len(rows) == 1 and self.lowest == 0 and bool((rows[0] == a).all())
        # One term only: the effective value is the term itself but for a constant.
        self.alpha_scale = float(alpha @ rows[0] / (rows[0] @ rows[0])) if self.separable and len(rows) == 1 else None
        self._largest_row = np.abs(rows).max(axis=1) if self.separable else np.abs(products).max(axis=0)
        # Levels one apart are counted; others are searched for, which takes ten times as long.
        self._lowest_level = float(levels[0]) if bool((np.diff(levels) == 1).all()) else None

        def register(name: str, array: np.ndarray, dtype: torch.dtype) -> None:
            self.register_buffer(name, torch.tensor(np.ascontiguousarray(array), dtype=dtype), persistent=False)

        register("rows", rows.T if self.separable else rows, torch.float64)  # [codes, R], or the table [codes, weights]
        register("columns", columns, torch.float64)  # [R, weight codes]
        magnitudes = self._magnitudes(columns)
        self._largest = float(magnitudes.max())
        register("magnitudes", magnitudes, torch.float64)  # [weight codes]
        register("activation_values", alpha, torch.float32)
        register("levels", levels, torch.float32)
        register("level_codes", first, torch.int64)
        register("weight_values", beta, torch.float32)
        register("thresholds", (levels[1:] + levels[:-1]) / 2, torch.float32)

    def _magnitudes(self, columns: np.ndarray) -> np.ndarray:
        """The most that one product with each weight code adds to a sum's magnitude, over all orders of adding."""
        return self._largest_row @ np.abs(columns) if self.separable else self._largest_row

    @staticmethod
    def _offset(a: np.ndarray, alpha: np.ndarray) -> int:
        """What the effective values lack on average, as the nearest power of two; 0 if less than 1/2."""
        slope, intercept = np.polyfit(a, alpha, 1)
        lacking = -intercept / slope
        return 0 if lacking < 0.5 else 1 << min(round(np.log2(lacking)), len(a).bit_length() - 3)

    def nearest(self, weights: torch.Tensor) -> torch.Tensor:
        """The index (int64) of the effective value nearest to each weight, in units of the weight scale; the lower of
        equals."""
        weights = weights.contiguous()
        if self._lowest_level is None:
            return torch.bucketize(weights, self.thresholds)
        # The thresholds below a weight; float64 holds every difference that matters.
        below = (weights.double() - (self._lowest_level + 0.5)).ceil_()
        return below.to(torch.int64).clamp_(0, len(self.levels) - 1)

    def codes(self, weights: torch.Tensor) -> torch.Tensor:
        """The two's-complement code (int64) of each weight, in units of the weight scale: that of the nearest
        effective value, the lowest code of equals."""
        return self.level_codes[self.nearest(weights)]

    def effective(self, weights: torch.Tensor, nearest: torch.Tensor) -> torch.Tensor:
        """The effective values with these indices; the gradient passes straight through to the weights, within their
        range."""
        clipped = weights.clamp(float(self.levels[0]), float(self.levels[-1]))
        return clipped + (self.levels[nearest] - clipped).detach()

    def weight_scale(self, weights: torch.Tensor) -> float:
        """The scale with the least squared error of the weights' effective values."""
        w = weights.detach().double()
        reach = float(max(self.levels[-1], -self.levels[0]))
        largest = float(w.abs().max())
        if largest == 0:
            return 1.0 / reach

        def error(scale: float) -> float:
            nearest = self.levels[torch.bucketize((w / scale).float(), self.thresholds)]
            return float((nearest * scale - w).square().sum())

        return min((float(f) * largest / reach for f in _CLIPPING), key=error)

    def activation_scale(self, x: torch.Tensor, rounding: int) -> float:
        """The scale with the least squared error of the activations' effective values."""
        values = x.detach().flatten()
        values = values[:: max(1, len(values) // 30_000)].double()
        largest = float(values.abs().max())
        if largest == 0:
            return 1.0
        reach = self.highest if float(values.max()) >= -float(values.min()) else -self.lowest

        def error(scale: float) -> float:
            codes = torch.floor(values / scale + (0.5 + rounding)).clamp(self.lowest, self.highest)
            return float((self.activation_values[codes.long() - self.lowest] * scale - values).square().sum())

        return min((float(f) * largest / reach for f in _CLIPPING), key=error)

    def number_format(self, weight_codes: torch.Tensor, bias: torch.Tensor) -> torch.dtype:
        """The fastest format in which every sum with these weights [out, …] is exact in any order.

        Raises:
            Refusal: no format is.
        """
        largest_bias = float(bias.abs().max())
        if not math.isfinite(largest_bias):
            raise Refusal(f"a bias is {largest_bias}; wanted numbers")
        bound = weight_codes[0].numel() * self._largest + largest_bias
        if number_format(int(bound)) != torch.float32:
            bound = float(self.magnitudes[weight_codes].flatten(1).sum(dim=1).max()) + largest_bias
        dtype = number_format(int(bound))
        if dtype is None:
            raise Refusal(f"sums with {self.table.name} can reach {bound:.0f}, beyond what float64 adds exactly")
        return dtype


class TableSums(torch.autograd.Function):
    """Σ_k T[x_k, w_k] + bias: of a convolution for weights [out, in, k, l], of a linear layer for [out, in].

    `codes` holds integers in floats, `effective` is β of the weights, whose gradient it receives; `weight_codes`
    are their codes. `bias` holds integers. Padding enters as the code 0, without `rounding`. Codes of more channels
    than weights have inputs fall into groups.

    Raises:
        Refusal: an activation or a bias is no number, or sums are too large.
    """

    @staticmethod
    def forward(
        ctx: Any,
        codes: torch.Tensor,
        effective: torch.Tensor,
        bias: torch.Tensor,
        weight_codes: torch.Tensor,
        products: Products,
        rounding: int,
        stride: Pair,
        padding: Pair,
    ) -> torch.Tensor:
        if not math.isfinite(float(codes.sum())):
            raise Refusal("activations are not all numbers")
        rounded = codes + rounding if rounding else codes
        if rounding:
            rounded.clamp_(max=products.highest)
        if any(padding):
            rounded = functional.pad(rounded, (padding[1], padding[1], padding[0], padding[0]))
        dtype = products.number_format(weight_codes, bias)
        # Codes lie with channels last, as rows of the table are looked up for all channels of a pixel.
        last = rounded.permute(0, 2, 3, 1) if rounded.ndim == 4 else rounded
        ctx.groups = rounded.shape[1] // weight_codes.shape[1] if rounded.ndim == 4 else 1
        index = None if products.identity else (last - products.lowest if products.lowest else last).to(torch.int32)
        if index is None:
            terms = rounded.to(dtype)
        elif products.separable:
            terms = _channels_first(functional.embedding(index, products.rows.to(dtype)).flatten(last.ndim - 1))
        else:
            terms = None
        bias = bias.to(dtype)
        if terms is not None:
            sums = _combined(terms, products.columns[:, weight_codes].to(dtype), bias, stride, ctx.groups)
        else:
            assert index is not None
            parts = zip(
                _channels_first(index).chunk(ctx.groups, dim=1),
                *(each.chunk(ctx.groups) for each in (weight_codes, bias)),
                strict=True,
            )
            by_group = [_gathered(part, some, own_bias, products, stride, dtype) for part, some, own_bias in parts]
            sums = by_group[0] if ctx.groups == 1 else torch.cat(by_group, dim=1)
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            if terms is not None and products.alpha_scale is not None:
                ctx.scale = products.alpha_scale
                activations = terms
            else:
                assert index is not None
                ctx.scale = 1.0
                found = products.activation_values.index_select(0, index.reshape(-1))
                activations = _channels_first(found.view(index.shape))
            ctx.save_for_backward(activations.to(effective.dtype), effective)
            ctx.stride, ctx.padding = stride, padding
        return sums

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        activations, effective = ctx.saved_tensors
        gradient = gradient.to(effective.dtype)
        wants_x, wants_w, wants_bias = ctx.needs_input_grad[:3]
        if effective.ndim == 2:
            grad_x = gradient @ effective if wants_x else None
            grad_w = gradient.T @ activations if wants_w else None
            grad_bias = gradient.sum(dim=0) if wants_bias else None
        else:
            grad_x, grad_w, _ = torch.ops.aten.convolution_backward(
                gradient,
                activations,
                effective,
                None,
                list(ctx.stride),
                [0, 0],
                [1, 1],
                False,
                [0, 0],
                ctx.groups,
                [wants_x, wants_w, False],
            )
            grad_bias = gradient.sum(dim=(0, 2, 3)) if wants_bias else None
            if grad_x is not None and any(ctx.padding):
                down, across = ctx.padding
                grad_x = grad_x[:, :, down : grad_x.shape[2] - down, across : grad_x.shape[3] - across]
        if grad_w is not None and ctx.scale != 1.0:
            grad_w = grad_w * ctx.scale
        return grad_x, grad_w, grad_bias, None, None, None, None, None


def _channels_first(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def _combined(
    terms: torch.Tensor, columns: torch.Tensor, bias: torch.Tensor, stride: Pair, groups: int
) -> torch.Tensor:
    """Sums over inputs and terms; columns [R, out, in / groups, …]."""
    kernels = columns.movedim(0, 2).flatten(1, 2)  # [out, in·R / groups, …]
    if kernels.ndim == 2:
        with exact_arithmetic():
            return torch.addmm(bias, terms, kernels.T)
    if terms.device.type == "cpu":
        return convolved(terms, kernels, stride, bias, groups)
    # Elsewhere a library may choose a transform that rounds; a matrix product has no such choice but TensorFloat-32.
    size = (int(kernels.shape[2]), int(kernels.shape[3]))
    height, width = (positions(int(terms.shape[2 + i]), size[i], stride[i]) for i in range(2))
    precision = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        seen = functional.unfold(terms, size, stride=stride).unflatten(1, (groups, -1))  # [N, groups, taps, positions]
        sums = (kernels.flatten(1).unflatten(0, (groups, -1)) @ seen).flatten(1, 2)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = precision
    return sums.unflatten(2, (height, width)) + bias[:, None, None]


def _gathered(
    index: torch.Tensor,
    weight_codes: torch.Tensor,
    bias: torch.Tensor,
    products: Products,
    stride: Pair,
    dtype: torch.dtype,
) -> torch.Tensor:
    """Sums of table rows, of which the first is that of the lowest code."""
    entries = products.rows.to(dtype)
    if index.ndim == 2:
        return gathered(index, table_rows(entries, weight_codes, bias=bias))
    out, _, height, width = weight_codes.shape
    together = neighbours(out, positions(index.shape[3], width, stride[1]))
    matrix = table_rows(entries, weight_codes, together, stride[1], bias)
    return gathered(index, matrix, (height, width), stride, together)
