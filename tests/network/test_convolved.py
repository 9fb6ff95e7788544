"""Convolutions of integers in which neighbouring positions are computed together."""

import pytest
import torch

from amhw.network.inference import convolved


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("outputs", [1, 2, 3, 6])
@pytest.mark.parametrize(("side", "kernel"), [(4, 2), (5, 3), (7, 2), (7, 5), (14, 2), (32, 5)])
def test_every_sum_is_exact_whatever_the_shape(channels, outputs, side, kernel):
    generator = torch.Generator().manual_seed(side)
    codes = torch.randint(0, 256, (40, side, side, channels), generator=generator).float().permute(0, 3, 1, 2)
    weights = torch.randint(-128, 128, (outputs, channels, kernel, kernel), generator=generator).float()
    expected = torch.nn.functional.conv2d(codes.double(), weights.double())
    assert torch.equal(convolved(codes, weights, (1, 1)).double(), expected)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(("width", "kernel", "stride"), [(3, (4, 2), (1, 2)), (4, (3, 3), (1, 2)), (9, (1, 8), (2, 2))])
def test_one_channel_and_one_position_are_exact_too(outputs, width, kernel, stride):
    """Where PyTorch's own convolution gives sums of what lies in memory."""
    generator = torch.Generator().manual_seed(width)
    codes = torch.randint(0, 256, (40, 13, width, 1), generator=generator).float().permute(0, 3, 1, 2)
    weights = torch.randint(-128, 128, (outputs, 1, *kernel), generator=generator).float()
    expected = torch.nn.functional.conv2d(codes.double(), weights.double(), stride=stride)
    assert torch.equal(convolved(codes, weights, stride).double(), expected)
