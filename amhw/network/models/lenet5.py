"""LeNet-5 for MNIST, and the weights that come with the package: trained on the full MNIST training set, float and
u8s8.

LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998), with ReLU and max-pooling.
``scripts/retrain.py`` made both files. Other operand widths are quantised from the float one when asked for, on the
packaged training slice, and kept in memory only.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from amhw.datasets import mnist_slice
from amhw.network.inference import UNSIGNED_WEIGHTS
from amhw.network.layers import Convolution, Flatten, Linear, MaxPool
from amhw.network.network import Network
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable

NETWORK = Network(
    name="LeNet-5",
    input_shape=(1, 28, 28),
    classes=10,
    layers=(
        Convolution("conv1", 6, (5, 5), padding=(2, 2)),
        MaxPool("pool1", (2, 2), (2, 2)),
        Convolution("conv2", 16, (5, 5)),
        MaxPool("pool2", (2, 2), (2, 2)),
        Flatten("flatten"),
        Linear("fc1", 120),
        Linear("fc2", 84),
        Linear("fc3", 10, relu=False),
    ),
)

PACKAGED = Path(__file__).parent


@cache
def float_network() -> FloatNetwork:
    """The shipped floating-point LeNet-5."""
    return FloatNetwork.load(PACKAGED / "lenet5-float.npz")


def network(operands: Operands | Mapping[str, Operands] = Operands()) -> QuantisedNetwork:  # noqa: B008 (frozen)
    """The shipped LeNet-5 in integers, for `operands` in all layers or in those that a mapping names."""
    names = float_network().layer_names
    if isinstance(operands, Operands):
        operands = dict.fromkeys(names, operands)
    return _network(tuple(operands.get(name, Operands()) for name in names))


def network_for(table: ProductTable, layers: Iterable[str]) -> QuantisedNetwork:
    """The shipped LeNet-5 with the table's operand widths in `layers`, u8s8 in the others.

    Raises:
        Refusal: weights cannot be the table's operand b, or a width is out of range.
    """
    if not table.signed_b:
        raise Refusal(UNSIGNED_WEIGHTS.format(name=table.name))
    return network(dict.fromkeys(layers, Operands(table.width_a, table.width_b, table.signed_a)))


@cache
def _network(operands: tuple[Operands, ...]) -> QuantisedNetwork:
    if set(operands) == {Operands()}:
        return QuantisedNetwork.load(PACKAGED / "lenet5.npz")
    names = float_network().layer_names
    return quantise(float_network(), mnist_slice().images, dict(zip(names, operands, strict=True)))
