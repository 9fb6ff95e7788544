"""What lies between multiplying layers and rounds: additions and average-pools on codes.

Outside of training both compute with the integer constants of `amhw.network.requantisation`, bit for bit as hardware
would.
"""

import torch
from torch import nn
from torch.nn import functional

from amhw.network.layers import AveragePool
from amhw.network.requantisation import Addition, Requantisation
from amhw.nn.layers import Codes, Grid


class ApproxAdd(nn.Module):
    """The sum of codes of two grids, as codes of a third."""

    def __init__(self, first: Grid, second: Grid, output: Codes) -> None:
        super().__init__()
        self.first, self.second, self.output = first, second, output
        self.output_grid = output.grid  # a part of this one, to torch

    def constants(self) -> Addition:
        output = self.output
        scales = (self.first.scale / output.scale, self.second.scale / output.scale)
        return Addition.of(scales, output.highest, output.lowest)

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        if self.training:
            return self.output.rounded(x + other)
        constants = self.constants()
        terms = (grid.codes(each) for grid, each in ((self.first, x), (self.second, other)))
        scaled = sum(term * scale for term, scale in zip(terms, constants.scales, strict=True))
        assert isinstance(scaled, torch.Tensor)
        return self.output.values(scaled).to(x.dtype)


class ApproxAverage(nn.Module):
    """The mean of each window of codes of one grid, as codes of another."""

    def __init__(self, pool: AveragePool, grid: Grid, output: Codes) -> None:
        super().__init__()
        self.pool, self.grid, self.output = pool, grid, output
        self.output_grid = output.grid  # a part of this one, to torch

    def constants(self) -> Requantisation:
        """Of the sum of a window."""
        area = self.pool.window[0] * self.pool.window[1]
        output = self.output
        return Requantisation.of(self.grid.scale / (area * output.scale), output.highest, output.lowest)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            return self.output.rounded(functional.avg_pool2d(x, self.pool.window, self.pool.stride))
        constants = self.constants()
        sums = functional.avg_pool2d(self.grid.codes(x), self.pool.window, self.pool.stride, divisor_override=1)
        return self.output.values(sums * constants.scale).to(x.dtype)
