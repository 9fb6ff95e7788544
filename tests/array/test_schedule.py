"""Schedules: what their records compute is what the network computes, on every array."""

import re

import numpy as np
import pytest
from chains import chain, convolution, linear, with_layer
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import networks, with_roundings, with_weights

from amhw import Masked, ProductTable, Refusal, parse
from amhw.array.config import ArrayConfig
from amhw.array.interpreter import Interpreter
from amhw.array.listing import listing
from amhw.array.schedule import Schedule
from amhw.commands.array import command
from amhw.datasets import mnist_test
from amhw.network import reference
from amhw.network.inference import Inference
from amhw.network.models import lenet5, model_named
from amhw.network.quantise import quantise
from amhw.network.quantised import MadeFor, Operands
from amhw.network.requantisation import Requantisation

EXACT = Masked.exact(8, 8, signed_b=True)
MASKED = parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0")
SHAPES = (
    {"rows": 9, "cols": 4},
    {"rows": 4, "cols": 1, "depth": 2},
    {"rows": 12, "cols": 6, "window": (2, 3), "requantisers": 6, "batch": 2},
    {"rows": 25, "cols": 16, "depth": 25, "batch": 3},
    {"rows": 6, "cols": 7, "window": (3, 2), "batch": 1, "sums": 40},
    {"rows": 16, "cols": 8, "window": (2, 2), "requantisers": 4},
)
"""Windows of several shapes and channels, one column and several, one image at a time and several, sums in strips."""

KINDS = (Operands(), Operands(8, 8, True), Operands(6, 5), Operands(4, 3))


def expected(network, table, images):
    tables = dict.fromkeys(network.layer_names, table)
    return reference.outputs(network, tables, images)[network.network.layers[-1].name]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    network=networks(),
    seed=st.integers(0, 99),
    shape=st.sampled_from(SHAPES),
    operands=st.sampled_from(KINDS),
    rounding=st.booleans(),
)
def test_random_networks(network, seed, shape, operands, rounding):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (30, *network.input_shape), dtype=np.uint8)
    made = with_roundings(quantise(with_weights(network, seed), images, operands), random if rounding else None)
    widths = operands.activation_width, operands.weight_width
    multiplier = Masked.columns(2 * rounding, *widths, signed_a=operands.activation_signed, signed_b=True)
    config = ArrayConfig(multiplier, **{"sums": 300, **shape})
    found = Interpreter(Schedule(made, config)).logits(images[:5])
    np.testing.assert_array_equal(found, expected(made, ProductTable.of(multiplier), images[:5]))


MASKS = st.lists(st.integers(0, 7), min_size=4, max_size=4).filter(any).map(tuple)
"""Rows of partial products of 4 × 3 bits."""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(network=networks(), seed=st.integers(0, 99), masks=st.lists(MASKS, min_size=2, max_size=3))
def test_random_masks_layer_by_layer(network, seed, masks):
    images = np.random.default_rng(seed).integers(0, 256, (30, *network.input_shape), dtype=np.uint8)
    made = quantise(with_weights(network, seed), images, Operands(4, 3))
    choices = [Masked(rows=rows, width_a=4, width_b=3, signed_b=True) for rows in masks]
    multipliers = {name: choices[k % len(choices)] for k, name in enumerate(made.layer_names)}
    config = ArrayConfig.joining(choices, rows=6, cols=4, window=(3, 2), sums=300)
    found = Interpreter(Schedule(made, config, multipliers)).logits(images[:5])
    tables = {name: ProductTable.of(multiplier) for name, multiplier in multipliers.items()}
    wanted = reference.outputs(made, tables, images[:5])[made.network.layers[-1].name]
    np.testing.assert_array_equal(found, wanted)


def test_operand_bits_are_switched_off_before_partial_products_are():
    """By hand: a rectangle needs no gate; a corner leaves the other corner of its own rows and columns."""
    rectangle = Masked(rows=(0, 6, 6, 0), width_a=4, width_b=3, signed_b=True)
    corner = Masked(rows=(0, 4, 6, 7), width_a=4, width_b=3, signed_b=True)
    exact = Masked.exact(4, 3, signed_b=True)
    config = ArrayConfig.joining([rectangle, exact], rows=4, cols=1)
    assert (config.multiplier, config.gates) == (exact, ())
    assert vars(config.mode(rectangle)) == {"activation_bits": 6, "weight_bits": 6, "gates": 0}
    config = ArrayConfig.joining([exact, corner], rows=4, cols=1)
    assert config.gates == ((0, 3, 1, 0),)
    assert vars(config.mode(corner)) == {"activation_bits": 14, "weight_bits": 7, "gates": 0}
    assert vars(config.mode(exact)) == {"activation_bits": 15, "weight_bits": 7, "gates": 1}


@pytest.mark.parametrize("multiplier", [EXACT, MASKED], ids=lambda m: m.name)
def test_lenet(multiplier):
    network, images = lenet5.network(), mnist_test().images[:40]
    table = ProductTable.of(multiplier)
    found = Interpreter(Schedule(network, ArrayConfig(multiplier))).logits(images)
    wanted = Inference(network, dict.fromkeys(network.layer_names, table)).logits(images)
    np.testing.assert_array_equal(found, wanted)


def test_a_residual_network():
    structure = model_named("resnet8")
    images = np.random.default_rng(1).integers(0, 256, (12, *structure.input_shape), dtype=np.uint8)
    network = quantise(with_weights(structure, 1), images, Operands())
    schedule = Schedule(network, ArrayConfig(EXACT, 36, 16, window=(3, 3)))
    assert {one.kind for one in schedule.operations} == {"convolution", "add", "mean", "linear"}
    wanted = Inference(network).logits(images[:1])
    np.testing.assert_array_equal(Interpreter(schedule).logits(images[:1]), wanted)


def test_lenet_with_a_mask_in_its_convolutions():
    network, images = lenet5.network(), mnist_test().images[:40]
    layers = {"conv1": Masked.columns(10, 8, 8, signed_b=True), "conv2": MASKED}
    schedule = Schedule(network, ArrayConfig.joining([EXACT, *layers.values()]), layers)
    wanted = Inference(network, {name: ProductTable.of(one) for name, one in layers.items()}).logits(images)
    np.testing.assert_array_equal(Interpreter(schedule).logits(images), wanted)
    assert [row[-1].rpartition("pp_")[2] for row in listing(schedule)[1:3]] == [
        "0_0_0_80_c0_e0_f0_f8",
        "0_0_0_0_0_0_f0_f0",
    ]


def test_clocks_of_lenet_on_25_by_16():
    """784 positions of one tile, then 100 of six; 180 tiles for linear layers, 68 clocks each, are shared by 32."""
    schedule = Schedule(lenet5.network(), ArrayConfig(EXACT))
    tiles = {one.name: (one.tiles, one.positions) for one in schedule.operations}
    assert tiles == {"conv1": (1, 784), "conv2": (6, 100), "fc1": (128, 1), "fc2": (48, 1), "fc3": (4, 1)}
    assert schedule.products_per_image == 28 * 28 * 25 * 6 + 10 * 10 * 150 * 16 + 400 * 120 + 120 * 84 + 84 * 10
    assert 1384 <= schedule.image_clocks <= 1.05 * 1384
    assert schedule.clocks_per_image <= 2000


def test_the_table():
    rows = listing(Schedule(lenet5.network(), ArrayConfig(EXACT)))
    assert [row[0] for row in rows[1:]] == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    run = CliRunner().invoke(command, ["mul_u8s8_pp_full", "--whole", "--show"])
    assert run.exit_code == 0, run.stderr
    assert "conv2" in run.stdout and "clocks an image" in run.stderr


def made_for(multiplier):
    return MadeFor(multiplier.name, ProductTable.of(multiplier).sha256)


def test_a_network_file_says_which_multipliers_its_layers_have(tmp_path):
    path = with_layer(lenet5.network(), 1, made_for=made_for(MASKED)).save(tmp_path / "selected.npz")
    run = CliRunner().invoke(command, [str(path), "--show"])
    assert run.exit_code == 0, run.stderr
    found = [line.split()[-1] for line in run.stdout.splitlines()]
    assert found == ["multiplier", EXACT.name, MASKED.name, *[EXACT.name] * 3]
    path = with_layer(lenet5.network(), 1, made_for=made_for(parse("mul_u8s8_sm_drum_6"))).save(tmp_path / "drum.npz")
    run = CliRunner().invoke(command, [str(path), "--whole", "--out", str(tmp_path / "out")])
    assert run.exit_code == 2
    assert "multipliers that differ from layer to layer have to be masks" in run.stderr
    assert not (tmp_path / "out").exists()


def small(operands=Operands(), outputs=3, side=8, name="small"):  # noqa: B008 (frozen)
    random = np.random.default_rng(0)
    low, high = -operands.weight_max - 1, operands.weight_max
    scale = Requantisation.of(0.05, operands.activation_max)
    first = convolution("c", random.integers(low, high, (outputs, 1, 3, 3)), np.zeros(outputs), scale, operands)
    last = linear("f", random.integers(low, high, (2, outputs * (side - 2) ** 2)), [0, 0], None, operands)
    return chain([first, last], (1, side, side), name=name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ArrayConfig(EXACT, 25, 16, 4), "25 rows are no multiple of the depth 4"),
        (lambda: ArrayConfig(EXACT, 25, 16, window=(3, 3)), "25 rows are no multiple of the 9 taps of a 3×3 window"),
        (lambda: ArrayConfig(EXACT, 36, 16, window=(2, 3)), "36 rows are 6 channels of a 2×3 window"),
        (lambda: ArrayConfig(EXACT, 9, 5, requantisers=2), "5 columns are no multiple of 2 requantisers"),
        (
            lambda: ArrayConfig.joining([EXACT, parse("mul_u8u8_drum_4")]),
            "mul_u8u8_drum_4 and mul_u8s8_pp_full in one array: multipliers that differ from layer to layer have to be "
            "masks of partial products",
        ),
        (
            lambda: ArrayConfig.joining([EXACT, Masked.exact(4, 4, signed_b=True)]),
            "mul_u4s4_pp_full and mul_u8s8_pp_full in one array",
        ),
        (lambda: ArrayConfig(MASKED, masks=(EXACT,)), "mul_u8s8_pp_full keeps partial products that an array of mul_"),
        (
            lambda: Schedule(small(), ArrayConfig(EXACT, 9, 2), {"c": MASKED}),
            f"{MASKED.name} in an array of mul_u8s8_pp_full",
        ),
        (
            lambda: Schedule(small(), ArrayConfig(EXACT, 9, 2), {"conv1": EXACT}),
            "a multiplier for conv1; small has c, f",
        ),
        (lambda: Schedule(small(Operands(4, 4)), ArrayConfig(EXACT, 9, 2)), "multiplies u8s8, but c of this network"),
        (
            lambda: Schedule(with_layer(small(), 1, made_for=MadeFor("another", "0" * 64)), ArrayConfig(EXACT, 9, 2)),
            "f of small was made for another (table 000000000000), not for",
        ),
        (lambda: Schedule(small(), ArrayConfig(EXACT, 4, 2, sums=5)), "a row of c has 6 positions; partial sums are"),
        (lambda: Schedule(small(), ArrayConfig(EXACT, 9, 2, sums=16)), "a batch has 32 positions; partial sums are"),
    ],
)
def test_what_does_not_fit_is_refused(make, words):
    with pytest.raises(Refusal, match=re.escape(words)):
        make()
