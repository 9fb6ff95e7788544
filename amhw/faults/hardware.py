"""Permanent faults in a multiplier's gates: every net of its mapped netlist stuck at 0 and at 1, as product tables.

A net that is stuck reads the same everywhere (a stem fault). All operand pairs are evaluated at once, 64 a machine
word. Faults that give the same table are one fault to a network, and are classified once. Two arrays are looked at:

* *all*: every multiplier of the array has the fault, as if it were in a chip's mask, or in one multiplier that does
  all the work;
* *one*: one element of a weight-stationary array has it, as a defect would: the element at row r and column c
  multiplies the r-th weight of the kernels of every output o with o mod columns = c.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from amhw.datasets import DataSet
from amhw.faults.golden import Arithmetic
from amhw.network.inference import Inference, finish, im2col
from amhw.network.layers import IMAGE, Convolution
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.synth.boolean import function
from amhw.synth.netlist import ONE, ZERO, Netlist
from amhw.synth.truth import Words, bit_planes, unpacked
from amhw.table import ProductTable


@dataclass(frozen=True)
class StuckNet:
    """A net that is stuck.

    Attributes:
        net: its number in the netlist.
        value: 0 or 1.
        cell: what drives it; empty for an input.
        area_um2: of that cell, shared among its outputs.
    """

    net: int
    value: int
    cell: str
    area_um2: float


def stuck_nets(netlist: Netlist) -> tuple[StuckNet, ...]:
    """All of a combinational netlist's, inputs first.

    Raises:
        Refusal: it has registers.
    """
    if netlist.flip_flops:
        raise Refusal(f"{netlist.top} has registers; stuck nets are for combinational multipliers")
    found = [(net, "", 0.0) for nets in netlist.inputs.values() for net in nets]
    for gate in netlist.gates:
        outputs = [gate.nets[pin.name] for pin in gate.cell.outputs if pin.name in gate.nets]
        found += [(net, gate.cell.name, gate.cell.area / len(outputs)) for net in outputs]
    return tuple(StuckNet(net, value, cell, area) for net, cell, area in found for value in (0, 1))


def faulty_tables(netlist: Netlist, table: ProductTable) -> Iterator[tuple[StuckNet, np.ndarray]]:
    """The products int32[2^m, 2^n] with each net stuck, of a netlist that computes `table` with ports a, b and p."""
    a, b = (np.arange(side) for side in table.products.shape)
    inputs: dict[int, Words] = {}
    for name, codes in (("a", np.repeat(a, len(b))), ("b", np.tile(b, len(a)))):
        inputs.update(zip(netlist.inputs[name], bit_planes(codes, len(netlist.inputs[name])), strict=True))
    size = table.products.size
    for fault in stuck_nets(netlist):
        values = _settled(netlist, inputs, fault)
        outputs = netlist.outputs["p"]
        products = np.zeros(size, np.int64)
        for k, net in enumerate(outputs):
            products |= unpacked(values[net], size).astype(np.int64) << k
        if table.signed_a or table.signed_b:
            products -= (products >> (len(outputs) - 1) & 1) << len(outputs)
        yield fault, products.reshape(table.products.shape).astype(np.int32)


def _settled(netlist: Netlist, inputs: Mapping[int, Words], fault: StuckNet) -> dict[int, Words]:
    """The values of all nets, one of which is stuck."""
    values = dict(inputs)
    some = next(iter(inputs.values()))
    values[ZERO], values[ONE] = np.zeros_like(some), ~np.zeros_like(some)
    stuck = values[ONE] if fault.value else values[ZERO]
    if fault.net in values:
        values[fault.net] = stuck
    for gate in netlist.gates:
        words = {pin.name: values[gate.nets[pin.name]] for pin in gate.cell.inputs}
        for output in gate.cell.outputs:
            net = gate.nets.get(output.name)
            if net is not None:
                values[net] = stuck if net == fault.net else function(output.function, tuple(words))(words, values[ONE])
    return values


@dataclass(frozen=True)
class Element:
    """The place of a faulty element in a weight-stationary array of kernel² rows and some columns."""

    row: int
    column: int
    columns: int = 16


class DefectiveArray:
    """A network whose convolutions run on an array in which multipliers are faulty.

    Raises:
        Refusal: the network has a convolution with other kernels than the first, which an element could not serve.
    """

    def __init__(self, network: QuantisedNetwork, tables: Mapping[str, ProductTable], data: DataSet) -> None:
        kernels = {network[name].kernel for name in network.convolutions}
        if len(kernels) != 1:
            raise Refusal(f"{network.name} has convolutions with {len(kernels)} sizes of kernels; wanted one for all")
        self.network, self.tables, self._data = network, tables, data
        self._arithmetic = Arithmetic(network, tables)

    def all_faulty(self, products: np.ndarray) -> int:
        """Images that are classified correctly where every multiplier of the convolutions gives these products."""
        network = self.network
        layers = tuple(replace(layer, made_for=None) for layer in network.layers)
        bare = QuantisedNetwork(network.network, layers, network.name, network.joins)
        operands = network[network.convolutions[0]].operands
        table = ProductTable(products, operands.activation_signed, True, name="stuck")
        tables = {**self.tables, **dict.fromkeys(network.convolutions, table)}
        return int(Inference(bare, tables).correct(self._data).sum())

    def one_faulty(self, products: np.ndarray, element: Element) -> int:
        """Images that are classified correctly where one element gives these products."""
        network, structure = self.network, self.network.network
        values: dict[str, np.ndarray] = {IMAGE: self._data.images.copy()}
        for layer in structure.layers:
            x = values[structure.sources[layer.name][0]]
            if isinstance(layer, Convolution):
                own = network[layer.name]
                codes = own.operands.codes_of(x) if layer.name in structure.pixel_layers else x
                sums = self._arithmetic.sums[layer.name](torch.from_numpy(codes)).numpy().astype(np.float64)
                self._add(sums, own.name, codes, products, element)
                values[layer.name] = finish(own, torch.from_numpy(sums)).numpy()
            elif layer.name in network.layer_names:
                own = network[layer.name]
                values[layer.name] = finish(own, self._arithmetic.sums[layer.name](torch.from_numpy(x))).numpy()
            else:
                others = (values[name] for name in structure.sources[layer.name][1:])
                values[layer.name] = self._arithmetic.joined(layer, x, *others)
        logits = values[structure.layers[-1].name]
        return int((logits.argmax(axis=1) == self._data.labels).sum())

    def _add(self, sums: np.ndarray, name: str, codes: np.ndarray, products: np.ndarray, element: Element) -> None:
        """Add to a layer's sums what the faulty element makes of them."""
        layer = self.network[name]
        taps = layer.kernel[0] * layer.kernel[1]
        right = self.tables[name].products if name in self.tables else _exact(products.shape)
        seen = im2col(layer, codes)  # [N, H', W', K]
        weights = layer.weight_codes.reshape(layer.outputs, -1, taps)
        for output in range(element.column, layer.outputs, element.columns):
            for channel in range(weights.shape[1]):
                weight = weights[output, channel, element.row]
                change = products[:, weight].astype(np.int64) - right[:, weight]
                sums[:, output] += change[seen[..., channel * taps + element.row]]


def _exact(shape: tuple[int, ...]) -> np.ndarray:
    b = np.arange(shape[1])
    values = np.where(b >= shape[1] // 2, b - shape[1], b)
    found: np.ndarray = np.arange(shape[0])[:, None] * values
    return found


def distinct(tables: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """The different ones of some tables, and which of them each is."""
    places: dict[bytes, int] = {}
    found: list[np.ndarray] = []
    which = []
    for table in tables:
        place = places.setdefault(table.tobytes(), len(found))
        if place == len(found):
            found.append(table)
        which.append(place)
    return found, np.array(which)
