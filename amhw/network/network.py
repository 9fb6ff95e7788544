"""A network as a value: the shape of its images, its classes, its layers, and what it was trained on. It has no
weights: `amhw.network.real.FloatNetwork` and `amhw.network.quantised.QuantisedNetwork` add them.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import msgspec

from amhw.datasets import DataSet, Identity
from amhw.network.layers import IMAGE, KINDS, UNSAID, Convolution, Flatten, Layer, Linear, MaxPool, Rectifying, Shape
from amhw.refusal import Refusal

Multiplying = Convolution | Linear


@dataclass(frozen=True)
class Network:
    """Layers in the order in which they are computed; the last one is linear and gives a logit for each class.

    >>> from amhw.network.layers import Flatten, Linear
    >>> tiny = Network("tiny", (1, 2, 2), 3, (Flatten("flat"), Linear("fc", 3, relu=False)))
    >>> tiny.shapes["flat"], tiny.multiplications["fc"]
    ((4,), 12)

    Attributes:
        name: what it is called.
        input_shape: (C, H, W).
        classes: how many.
        layers: each with a name of its own.
        trained_on: the data set that its weights were trained on, if that is known.

    Raises:
        Refusal: a layer's input is unknown or has a shape that it cannot take, an output is not used, or the last
            layer gives no logits.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    layers: tuple[Layer, ...]
    trained_on: Identity | None = None

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise Refusal(f"{self.name} takes images {list(self.input_shape)}; wanted [channels, height, width]")
        names = [layer.name for layer in self.layers]
        for name in names:
            if not name.isidentifier():
                raise Refusal(f"{self.name} has a layer {name!r}; wanted a name of letters, digits and _")
        if len({*names, IMAGE}) != len(names) + 1:
            raise Refusal(f"layer names must differ, and {IMAGE} is the input's: {', '.join(names)}")
        if not self.multiplying:
            raise Refusal(f"{self.name} has no convolution and no linear layer; wanted at least one")
        self.shapes  # noqa: B018 (refuses layers that do not follow one another)
        last = self.layers[-1]
        if not isinstance(last, Linear) or last.relu or last.absolute or last.outputs != self.classes:
            raise Refusal(
                f"{last.name} is the last layer: wanted a linear one without ReLU or absolute value, with "
                f"{self.classes} outputs, one for each class"
            )
        for name in names[:-1]:
            if not self.consumers[name]:
                raise Refusal(f"nothing takes what leaves {name}; wanted every layer but the last to be used")

    def __getitem__(self, name: str) -> Layer:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise Refusal(f"no layer {name}; {self.name} has {', '.join(layer.name for layer in self.layers)}")

    # How layers follow one another

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """Whose outputs enter each layer, `IMAGE` among them.

        Raises:
            Refusal: a layer names one that does not come before it.
        """
        found: dict[str, tuple[str, ...]] = {}
        before = IMAGE
        for layer in self.layers:
            found[layer.name] = (layer.source or before, *layer.others)
            for name in found[layer.name]:
                if name != IMAGE and (name == layer.name or name not in found):
                    raise Refusal(f"{layer.name} takes what leaves {name}, which is no layer before it")
            before = layer.name
        return found

    @cached_property
    def consumers(self) -> Mapping[str, tuple[str, ...]]:
        """Which layers take each output; a layer that takes one twice is there twice."""
        found: dict[str, list[str]] = {IMAGE: [], **{layer.name: [] for layer in self.layers}}
        for name, sources in self.sources.items():
            for source in sources:
                found[source].append(name)
        return {name: tuple(consumers) for name, consumers in found.items()}

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of what leaves each layer, and of the image."""
        found: dict[str, Shape] = {IMAGE: self.input_shape}
        for layer in self.layers:
            found[layer.name] = layer.output(*(found[name] for name in self.sources[layer.name]))
        return found

    def pool_of(self, name: str) -> MaxPool | None:
        """The max-pool that alone takes what leaves layer `name`, which may then be pooled before it is rounded: both
        never decrease. An absolute value does, so that what leaves it is pooled afterwards."""
        return None if self.is_absolute(name) else self.pool_behind(name)

    def pool_behind(self, name: str) -> MaxPool | None:
        """The max-pool that alone takes what leaves layer `name`."""
        consumers = self.consumers[name]
        following = self[consumers[0]] if len(consumers) == 1 else None
        return following if isinstance(following, MaxPool) else None

    def leaving(self, name: str) -> str:
        """The layer whose output is that of layer `name` after `pool_of`."""
        pool = self.pool_of(name)
        return name if pool is None else pool.name

    def readers(self, name: str) -> tuple[str, ...]:
        """The layers that compute with the codes of layer `name`: directly, or after max-pools and flattening, which
        leave codes as they are."""
        found: list[str] = []
        for consumer in self.consumers[name]:
            found += self.readers(consumer) if isinstance(self[consumer], MaxPool | Flatten) else [consumer]
        return tuple(dict.fromkeys(found))

    def writer(self, name: str) -> str:
        """The layer that made the codes which leave `name`: itself, or what is before max-pools and flattening."""
        while name != IMAGE and isinstance(self[name], MaxPool | Flatten):
            [name] = self.sources[name]
        return name

    def never_negative(self, name: str) -> bool:
        """Whether what leaves layer `name` is never below 0: it has been through a ReLU or an absolute value, as the
        image might have."""
        if name == IMAGE:
            return True
        layer = self[name]
        if self.is_absolute(name) or (isinstance(layer, Rectifying) and layer.relu):
            return True
        return not isinstance(layer, Multiplying) and all(map(self.never_negative, self.sources[name]))

    def is_absolute(self, name: str) -> bool:
        """Whether |x| leaves layer `name`."""
        return any(layer.name == name and layer.absolute for layer in self.multiplying)

    # Layers with weights

    @property
    def multiplying(self) -> tuple[Multiplying, ...]:
        """The layers that multiply: convolutions and linear ones."""
        return tuple(layer for layer in self.layers if isinstance(layer, Multiplying))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers that multiply."""
        return tuple(layer.name for layer in self.multiplying)

    @property
    def convolutions(self) -> tuple[str, ...]:
        """The names of the convolutions."""
        return tuple(layer.name for layer in self.layers if isinstance(layer, Convolution))

    @property
    def pixel_layers(self) -> tuple[str, ...]:
        """The names of the layers that multiply the image's own pixels."""
        return tuple(name for name in self.layer_names if self.writer(self.sources[name][0]) == IMAGE)

    def weight_shape(self, layer: Multiplying) -> Shape:
        """The shape of a layer's weights."""
        return layer.weights(self.shapes[self.sources[layer.name][0]])

    @cached_property
    def multiplications(self) -> Mapping[str, int]:
        """Multiply-accumulates of an image in each layer; positions that the pooling after it drops do not count."""
        found = {}
        for layer in self.multiplying:
            positions = prod(self.shapes[layer.name][1:])
            if (pool := self.pool_behind(layer.name)) is not None:
                (_, *sides), (_, *all_positions) = self.shapes[pool.name], self.shapes[layer.name]
                seen = zip(sides, pool.window, pool.stride, pool.padding, all_positions, strict=True)
                positions = prod(
                    min((side - 1) * stride + window - padding, most) for side, window, stride, padding, most in seen
                )
            found[layer.name] = positions * prod(self.weight_shape(layer))
        return found

    @property
    def busiest(self) -> str:
        """The name of the layer that multiplies most, the first of equals."""
        return max(self.layer_names, key=self.multiplications.__getitem__)

    def check_plain(self, who: str) -> None:
        """Refuse, for somebody who cannot, to compute convolutions in groups and max-pools with padding.

        Raises:
            Refusal: there is one.
        """
        for layer in self.layers:
            if isinstance(layer, Convolution) and layer.groups > 1:
                raise Refusal(f"{layer.name} has {layer.groups} groups; {who} takes convolutions of one group")
            if isinstance(layer, MaxPool) and any(layer.padding):
                raise Refusal(f"{layer.name} pads its windows; {who} takes max-pools without padding")

    def check_layers(self, names: Iterable[str]) -> None:
        """
        Raises:
            Refusal: a name is not that of a layer that multiplies.
        """
        for name in names:
            if name not in self.layer_names:
                raise Refusal(f"no layer {name}; this network has {', '.join(self.layer_names)}")

    def absolute(self) -> "Network":
        """The same network with an absolute value where layers that multiply have a ReLU; additions keep theirs."""
        layers = tuple(
            replace(layer, relu=False, absolute=True, ceiling=None)
            if isinstance(layer, Convolution | Linear) and layer.relu
            else layer
            for layer in self.layers
        )
        return replace(self, name=f"{self.name} with absolute values", layers=layers)

    # What it was trained on

    def on(self, data: Identity | None) -> "Network":
        """The same network, trained on `data`."""
        return replace(self, trained_on=data)

    def check_images(self, data: DataSet) -> None:
        """
        Raises:
            Refusal: images have another shape than the network takes, or more classes.
        """
        if data.shape != self.input_shape:
            raise Refusal(
                f"{data.name} has images {list(data.shape)}, but {self.name} takes {list(self.input_shape)}: "
                "[channels, height, width]"
            )
        if data.classes > self.classes:
            raise Refusal(f"{data.name} has the label {data.classes - 1}; {self.name} knows 0…{self.classes - 1}")

    # In a file

    def described(self) -> dict[str, Any]:
        """Ready for JSON."""
        kinds = {kind: name for name, kind in KINDS.items()}
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "layers": [{"kind": kinds[type(layer)], **_said(layer)} for layer in self.layers],
            "trained_on": None if self.trained_on is None else vars(self.trained_on),
        }

    @staticmethod
    def of(description: Any) -> "Network":
        """The inverse of `described`.

        Raises:
            Refusal: the description is of no network; or as for a network.
        """
        try:
            given = msgspec.convert(description, _Described)
            layers = []
            for fields in given.layers:
                kind = KINDS.get(fields.get("kind", ""))
                if kind is None:
                    raise Refusal(f"a layer of kind {fields.get('kind')!r}; known: {', '.join(KINDS)}")
                said = {name: value for name, value in fields.items() if name != "kind"}
                if unknown := said.keys() - {field.name for field in dataclasses.fields(kind)}:
                    raise Refusal(f"a layer of kind {fields['kind']} has no {', '.join(sorted(unknown))}")
                layers.append(msgspec.convert(said, kind))
        except msgspec.ValidationError as error:
            raise Refusal(f"no network: {error}") from None
        return Network(given.name, given.input_shape, given.classes, tuple(layers), given.trained_on)


@dataclass(frozen=True)
class _Described:
    name: str
    input_shape: tuple[int, int, int]
    classes: int
    layers: list[dict[str, Any]]
    trained_on: Identity | None = None


def _said(layer: Layer) -> dict[str, Any]:
    """What is not said is the default: files of networks without it are as they were before there was such a field."""
    usual = {member.name: member.default for member in dataclasses.fields(layer) if member.metadata == UNSAID}
    return {name: value for name, value in vars(layer).items() if name not in usual or value != usual[name]}
