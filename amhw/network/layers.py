"""The kinds of layers that a network is made of, as frozen values without weights.

A layer takes the output of the layer before it, or of the one that its `source` names (`IMAGE` is the network's input).
Shapes are [C, H, W], or [N] after a `Flatten`. `relu` says that what leaves the layer is max(x, 0), `absolute` that it
is |x| (Berngardt, "Improving classification neural networks by using absolute activation function (MNIST/LeNET-5
example)", 2023). A ReLU may have a `ceiling`: min(max(x, 0), ceiling), of 6 for a ReLU6. Integers have no ceiling of
their own: codes end at the greatest one, and quantisation takes no scale with which that would stand for more than the
ceiling.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from math import inf, prod

from amhw.refusal import Refusal

Pair = tuple[int, int]
Shape = tuple[int, ...]

IMAGE = "image"
"""The name of what enters a network."""


UNSAID: Mapping[str, bool] = {"unsaid": True}
"""Metadata of a member that a file leaves out where it is as usual: so it is the file of before there was such a
member, with its hash."""


@dataclass(frozen=True)
class Layer:
    """What all kinds have: a name, and where their input comes from (None: the layer before)."""

    name: str
    _: KW_ONLY
    source: str | None = field(default=None, metadata=UNSAID)

    @property
    def others(self) -> tuple[str, ...]:
        """Further inputs, after the one from `source`."""
        return ()

    def output(self, *shapes: Shape) -> Shape:
        """The shape of what leaves the layer, for inputs of these shapes.

        Raises:
            Refusal: the layer cannot take them.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Convolution(Layer):
    """Kernels of height × width without dilation, zero padding on each side, a bias for each output.

    Inputs and outputs fall into `groups` of equal size, in order, and an output sees the inputs of its group only; with
    as many groups as inputs the convolution is *depthwise* (Howard et al., "MobileNets", 2017).
    """

    outputs: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    relu: bool = True
    absolute: bool = field(default=False, metadata=UNSAID)
    groups: int = field(default=1, metadata=UNSAID)
    ceiling: float | None = field(default=None, metadata=UNSAID)

    def __post_init__(self) -> None:
        _check_activation(self)
        if self.outputs < 1:
            raise Refusal(f"{self.name} has {self.outputs} outputs; wanted at least 1")
        if min(*self.kernel, *self.stride) < 1 or min(self.padding) < 0:
            raise Refusal(
                f"{self.name}: kernel {_pair(self.kernel)}, stride {_pair(self.stride)}, "
                f"padding {_pair(self.padding)}; "
                "kernel and stride are at least 1, padding at least 0"
            )
        if self.groups < 1 or self.outputs % self.groups:
            raise Refusal(
                f"{self.name} has {self.outputs} outputs in {self.groups} groups; wanted groups of equal size"
            )
        _check_ceiling(self)

    def output(self, *shapes: Shape) -> Shape:
        channels, *sides = _image(self, shapes)
        if channels % self.groups:
            raise Refusal(f"{self.name} gets {channels} channels for {self.groups} groups; wanted groups of equal size")
        padded = (sides[0] + 2 * self.padding[0], sides[1] + 2 * self.padding[1])
        return (self.outputs, *_windows(self, padded, self.kernel, self.stride))

    def weights(self, shape: Shape) -> Shape:
        """[out, in / groups, height, width] for an input of this shape."""
        return (self.outputs, shape[0] // self.groups, *self.kernel)


@dataclass(frozen=True)
class Linear(Layer):
    """Every output is a weighted sum of all inputs, and a bias."""

    outputs: int
    relu: bool = True
    absolute: bool = field(default=False, metadata=UNSAID)
    ceiling: float | None = field(default=None, metadata=UNSAID)

    def __post_init__(self) -> None:
        _check_activation(self)
        if self.outputs < 1:
            raise Refusal(f"{self.name} has {self.outputs} outputs; wanted at least 1")
        _check_ceiling(self)

    def output(self, *shapes: Shape) -> Shape:
        if len(shapes[0]) != 1:
            raise Refusal(f"{self.name} is linear and gets {list(shapes[0])}; put a Flatten before it")
        return (self.outputs,)

    def weights(self, shape: Shape) -> Shape:
        """[out, in] for an input of this shape."""
        return (self.outputs, shape[0])


@dataclass(frozen=True)
class _Pool(Layer):
    """Windows of height × width; what is left over at the far edges is dropped."""

    window: Pair
    stride: Pair

    def __post_init__(self) -> None:
        if min(*self.window, *self.stride) < 1:
            raise Refusal(f"{self.name}: window {_pair(self.window)}, stride {_pair(self.stride)}; both are at least 1")

    def output(self, *shapes: Shape) -> Shape:
        channels, *sides = _image(self, shapes)
        return (channels, *_windows(self, (sides[0], sides[1]), self.window, self.stride))


@dataclass(frozen=True)
class MaxPool(_Pool):
    """The greatest of each window. Positions of `padding` on each side are less than anything."""

    padding: Pair = field(default=(0, 0), metadata=UNSAID)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.padding) < 0 or any(2 * pad > size for pad, size in zip(self.padding, self.window, strict=True)):
            raise Refusal(
                f"{self.name}: padding {_pair(self.padding)} of a window of {_pair(self.window)}; wanted at most half "
                "of it"
            )

    def output(self, *shapes: Shape) -> Shape:
        channels, height, width = _image(self, shapes)
        down, across = self.padding
        return (channels, *_windows(self, (height + 2 * down, width + 2 * across), self.window, self.stride))


@dataclass(frozen=True)
class AveragePool(_Pool):
    """The mean of each window, without padding; of one window, the whole map, where it is a *global* average."""


@dataclass(frozen=True)
class Add(Layer):
    """The sum of two outputs of one shape: a way around the layers between (He et al., "Deep residual learning for
    image recognition", 2016)."""

    other: str
    relu: bool = True
    ceiling: float | None = field(default=None, metadata=UNSAID)

    def __post_init__(self) -> None:
        _check_ceiling(self)

    @property
    def others(self) -> tuple[str, ...]:
        return (self.other,)

    def output(self, *shapes: Shape) -> Shape:
        if shapes[0] != shapes[1]:
            raise Refusal(f"{self.name} adds {list(shapes[0])} and {list(shapes[1])}; wanted equal shapes")
        return shapes[0]


@dataclass(frozen=True)
class Flatten(Layer):
    """All channels and positions in a row, in the order [C, H, W]."""

    def output(self, *shapes: Shape) -> Shape:
        return (prod(shapes[0]),)


KINDS: dict[str, type[Layer]] = {
    "convolution": Convolution,
    "linear": Linear,
    "max-pool": MaxPool,
    "average-pool": AveragePool,
    "add": Add,
    "flatten": Flatten,
}
"""What each kind is called in a network file."""


Rectifying = Convolution | Linear | Add
"""The kinds that may have a ReLU."""


def _check_ceiling(layer: Rectifying) -> None:
    if layer.ceiling is not None and not (layer.relu and 0 < layer.ceiling < inf):
        raise Refusal(f"{layer.name}: a ceiling of {layer.ceiling}; wanted a positive number, and a ReLU below it")


def _check_activation(layer: Convolution | Linear) -> None:
    if layer.relu and layer.absolute:
        raise Refusal(f"{layer.name} has a ReLU and an absolute value; wanted one of them, or none")


def _pair(pair: Pair) -> str:
    return "×".join(map(str, pair))


def _image(layer: Layer, shapes: tuple[Shape, ...]) -> Shape:
    if len(shapes[0]) != 3:
        raise Refusal(f"{layer.name} gets {list(shapes[0])}; wanted [channels, height, width]")
    return shapes[0]


def _windows(layer: Layer, sides: Pair, window: Pair, stride: Pair) -> Pair:
    height, width = ((side - size) // step + 1 for side, size, step in zip(sides, window, stride, strict=True))
    if height < 1 or width < 1:
        raise Refusal(f"{layer.name}: a window of {_pair(window)} does not fit into {_pair(sides)}")
    return height, width
