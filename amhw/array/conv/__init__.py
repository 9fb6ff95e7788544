"""Two convolution layers on one weight-stationary array, as one engine; each step of a position's way is a file."""

from amhw.array.conv.top import ConvEngine

__all__ = ["ConvEngine"]
