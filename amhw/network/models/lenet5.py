"""The networks that come with the package: LeNet-5 trained on the full MNIST training set, float and u8s8.

``scripts/retrain.py`` made both files. Other operand widths are quantised from the float one when asked for,
on the packaged training slice, and kept in memory only.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from amhw.datasets.mnist import mnist_slice
from amhw.network.inference import UNSIGNED_WEIGHTS
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.refusal import Refusal
from amhw.table import ProductTable

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
