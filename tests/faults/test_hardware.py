"""Stuck nets of mapped multipliers, and rankings of outputs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from amhw import Masked, ProductTable
from amhw.datasets import mnist_slice, mnist_test
from amhw.faults import ranking
from amhw.faults.hardware import DefectiveArray, Element, distinct, faulty_tables, stuck_nets
from amhw.network import reference
from amhw.network.inference import Inference, im2col
from amhw.network.models import lenet5
from amhw.synth import SEARCH, Synthesiser, Technology
from amhw.synth.netlist import ONE, ZERO
from amhw.synth.truth import evaluate, unpacked
from amhw.verilog import Design

SMALL = Design(Masked.exact(4, 4, signed_b=True))
TABLE = ProductTable.of(SMALL.multiplier)


@pytest.fixture(scope="module")
def netlist():
    with Synthesiser(Technology.named("sky130hd"), (SEARCH,), workers=1, netlists=True) as synthesiser:
        return synthesiser.submit(SMALL.verilog(), SMALL.name).result().mappings[0].gates


def rewired(netlist, net, constant):
    """The netlist in which everything that reads `net` reads a constant instead: no code knows of a fault."""
    gates = tuple(
        replace(gate, nets={pin: constant if n == net and pin in inputs else n for pin, n in gate.nets.items()})
        for gate in netlist.gates
        for inputs in [{pin.name for pin in gate.cell.inputs}]
    )
    outputs = {name: tuple(constant if n == net else n for n in nets) for name, nets in netlist.outputs.items()}
    return replace(netlist, gates=gates, outputs=outputs)


def test_every_stuck_net_is_a_constant_in_its_place(netlist):
    codes = np.arange(256)
    faults = list(faulty_tables(netlist, TABLE))
    assert [fault for fault, _ in faults] == list(stuck_nets(netlist))
    assert len(faults) == 2 * (8 + sum(len(gate.cell.outputs) for gate in netlist.gates))
    for fault, products in faults:
        other = rewired(netlist, fault.net, ONE if fault.value else ZERO)
        values = evaluate(other, {"a": codes >> 4, "b": codes & 15})
        found = sum(unpacked(values[n], 256).astype(int) << k for k, n in enumerate(other.outputs["p"]))
        assert np.array_equal(products.reshape(-1), found - (found >> 7 << 8))


def test_a_stuck_input_is_another_operand(netlist):
    """By arithmetic alone."""
    ports = {net: ("a", k) for k, net in enumerate(netlist.inputs["a"])}
    ports |= {net: ("b", k) for k, net in enumerate(netlist.inputs["b"])}
    codes, seen = np.arange(16), 0
    for fault, products in faulty_tables(netlist, TABLE):
        if fault.net in ports:
            port, k = ports[fault.net]
            read = codes | 1 << k if fault.value else codes & ~(1 << k)
            wanted = TABLE.products[read] if port == "a" else TABLE.products[:, read]
            assert np.array_equal(products, wanted)
            seen += 1
    assert seen == 16


def test_equal_tables_are_one():
    one, other = np.zeros((2, 2), np.int32), np.ones((2, 2), np.int32)
    found, which = distinct([one, other, one.copy()])
    assert len(found) == 2 and which.tolist() == [0, 1, 0]


# In an array

IMAGES = mnist_test().taken(slice(200, 220), "some")
EXACT = ProductTable.of(Masked.exact(8, 8, signed_b=True))


def test_an_array_without_a_fault():
    array = DefectiveArray(lenet5.network(), {}, IMAGES)
    products = EXACT.products
    right = (reference.outputs(lenet5.network(), {}, IMAGES.images)["fc3"].argmax(axis=1) == IMAGES.labels).sum()
    assert array.all_faulty(products) == array.one_faulty(products, Element(3, 2)) == right


def test_one_element_multiplies_one_weight_of_each_kernel_of_its_column():
    network = lenet5.network()
    array = DefectiveArray(network, {}, IMAGES)
    products = np.maximum(EXACT.products, 4000).astype(np.int32)
    element = Element(12, 1, 4)
    values = {"image": IMAGES.images[:4]}
    for name, pool in (("conv1", "pool1"), ("conv2", "pool2")):
        layer = network[name]
        seen = im2col(layer, values["image" if name == "conv1" else "pool1"])
        sums = np.zeros((*seen.shape[:3], layer.outputs), np.int64)
        for output in range(layer.outputs):
            for k, weight in enumerate(layer.weight_codes[output]):
                faulty = output % 4 == 1 and k % 25 == 12
                sums[..., output] += (products if faulty else EXACT.products)[seen[..., k], weight]
        codes = layer.requantisation(sums + layer.bias).transpose(0, 3, 1, 2)
        high = codes.shape[2] // 2
        values[pool] = codes.reshape(len(codes), layer.outputs, high, 2, high, 2).max(axis=(3, 5))
    x = values["pool2"].reshape(4, -1).astype(np.int64)
    for name in ("fc1", "fc2"):
        x = network[name].requantisation(
            x.astype(np.int64) @ network[name].matrix.T.astype(np.int64) + network[name].bias
        )
    logits = x.astype(np.int64) @ network["fc3"].matrix.T.astype(np.int64) + network["fc3"].bias
    few = DefectiveArray(network, {}, IMAGES.taken(slice(4), "four"))
    assert few.one_faulty(products, element) == (logits.argmax(axis=1) == IMAGES.labels[:4]).sum()
    assert array.one_faulty(products, element) < len(IMAGES)


# Rankings


def test_ranks_are_spearmans():
    random = np.random.default_rng(8)
    guess, truth = random.integers(0, 9, 40).astype(float), random.integers(0, 5, 40).astype(float)
    found = ranking.agreement(guess, truth)
    assert found.correlation == pytest.approx(spearmanr(guess, truth).statistic)
    assert found.best[0.5] >= found.covered[0.5]


def test_vulnerability_is_a_gradient_times_a_change():
    """Of one bias, by a difference quotient of the loss; the images are one batch, so that no sign is lost."""
    import torch

    from amhw.faults.memories import memories
    from amhw.faults.models import MODELS
    from amhw.network.real import pixels, real_valued

    network, data = lenet5.network(), mnist_slice().taken(slice(0, 5000, 200), "few")
    found = ranking.vulnerability(network, {}, data)
    assert {name: len(each) for name, each in found.items()} == {layer.name: layer.outputs for layer in network.layers}
    module = real_valued(network).module().double()
    labels, images = torch.from_numpy(data.labels.astype(np.int64)), pixels(data.images).double()
    total = 0.0
    for memory in memories(network, ["fc3.weights", "fc3.bias"]):
        layer = network["fc3"]
        parameter = module.fc3.weight if memory.kind == "weights" else module.fc3.bias
        unit = layer.weight_scale if memory.kind == "weights" else layer.unit
        change = np.abs(memory.faulty(MODELS["flip"]) - memory.values[:, None])
        if memory.kind == "bias":
            change = np.minimum(change, np.abs(Inference(network).logits(data.images)).max())
        change = change.mean(axis=1)
        words = range(2 * 84, 3 * 84) if memory.kind == "weights" else [2]
        for word in words:
            with torch.no_grad():
                losses = []
                for step in (1e-4, -2e-4, 1e-4):
                    parameter.view(-1)[word] += step
                    losses.append(float(torch.nn.functional.cross_entropy(module(images), labels)))
            total += abs(losses[0] - losses[1]) / 2e-4 * change[word] * unit
    assert found["fc3"][2] == pytest.approx(total, rel=1e-3)
