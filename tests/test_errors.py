"""Error figures against their definitions, spelt out pair by pair, and the command."""

import json
import math
from fractions import Fraction

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

from amhw import Masked, ProductTable, Refusal
from amhw.cli import main
from amhw.commands.errors import command
from amhw.errors import Errors, heat_map
from amhw.families import Compressed, Drum, SignMagnitude
from amhw.operands import OperandDistribution

TABLES = [
    ProductTable.of(Masked.columns(4, 4, 5, signed_b=True)),
    ProductTable.of(Compressed(compressor="momeni", columns=6, width_a=5, width_b=4)),
    ProductTable.of(SignMagnitude(core=Drum(bits=2, width_a=4, width_b=4), signed_a=True, signed_b=True)),
]


def by_definition(table, weights):
    """Every figure in exact fractions, one pair after the other."""
    pairs = [
        (int(table.products[i, j]), int(table.values_a[i]) * int(table.values_b[j]), weights[i][j])
        for i in range(len(weights))
        for j in range(len(weights[0]))
        if weights[i][j]
    ]
    total = sum(w for *_, w in pairs)
    related = [(p, x, w) for p, x, w in pairs if x]
    zero = [(p, x, w) for p, x, w in pairs if not x]
    mean = Fraction(sum((p - x) * w for p, x, w in pairs), total)
    return {
        "me": mean,
        "mae": Fraction(sum(abs(p - x) * w for p, x, w in pairs), total),
        "wce": max(abs(p - x) for p, x, _ in pairs),
        "mse": Fraction(sum((p - x) ** 2 * w for p, x, w in pairs), total),
        "variance": sum((p - x - mean) ** 2 * w for p, x, w in pairs) / total,
        "ep": Fraction(sum(w for p, x, w in pairs if p != x), total),
        "mred": sum(Fraction(abs(p - x) * w, abs(x)) for p, x, w in related) / sum(w for *_, w in related),
        "wcre": max(Fraction(abs(p - x), abs(x)) for p, x, _ in related),
        "zero": Fraction(sum(abs(p - x) * w for p, x, w in zero), sum(w for *_, w in zero)),
    }


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize("weighted", [False, True])
def test_figures_are_their_definitions(table, weighted):
    shape = table.products.shape
    if weighted:
        counts = np.random.default_rng(1).integers(0, 4, shape)
        counts[0, 0] = 1
        found = Errors.of(table, OperandDistribution.of_pairs(counts))
    else:
        counts = np.ones(shape, dtype=int)
        found = Errors.of(table)
    for name, value in by_definition(table, counts.tolist()).items():
        assert getattr(found, name) == pytest.approx(float(value)), name


def test_uniform_weights_change_nothing():
    table = TABLES[0]
    weighted = Errors.of(table, OperandDistribution.uniform(table.width_a, table.width_b))
    assert weighted.record() == pytest.approx(Errors.of(table).record())


def test_pairs_that_never_occur_do_not_count():
    table = ProductTable.of(Masked.columns(6, 4, 4))
    small = OperandDistribution.of_histograms([1] + 15 * [0], 16 * [1])
    errors = Errors.of(table, small)
    assert (errors.wce, errors.mae, errors.ep) == (0, 0, 0)
    assert math.isnan(errors.mred) and errors.record()["mred"] is None


def test_other_widths_are_refused():
    with pytest.raises(Refusal, match="8 × 8 bits; the table is 4 × 5"):
        Errors.of(TABLES[0], OperandDistribution.uniform(8, 8))


def test_heat_map_shows_each_pair_at_its_place(tmp_path):
    """The largest positive error is red, the largest negative one blue, where the operands say."""
    products = np.arange(16)[:, None] * np.arange(16)[None, :]
    products[15, 0] += 50
    products[0, 15] -= 50
    file = tmp_path / "map.png"
    file.write_bytes(heat_map(ProductTable(products)))
    picture = matplotlib.image.imread(file)[..., :3]
    red = (picture[..., 0] > 0.3) & (picture[..., 1] < 0.1)
    blue = (picture[..., 2] > 0.3) & (picture[..., 0] < 0.1)
    height, width = red.shape
    plane = slice(0, int(0.83 * width))  # without the colour bar
    rows, columns = np.nonzero(red[:, plane])
    assert rows.min() > 0.8 * height and columns.min() > 0.7 * width  # a large, b small: right and below
    rows, columns = np.nonzero(blue[:, plane])
    assert rows.max() < 0.2 * height and columns.max() < 0.2 * width  # a small, b large: left and above
    assert heat_map(ProductTable(products)) == file.read_bytes()


def errors(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_command_prints_the_figures(tmp_path):
    picture = tmp_path / "drum.png"
    result = errors("mul_u8u8_drum_4", "--json", "--heat-map", picture)
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    expected = Errors.of(ProductTable.of(Drum(bits=4, width_a=8, width_b=8)))
    assert {name: printed[name] for name in expected.record()} == expected.record()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert printed["heat_map"] == str(picture)
    assert errors("mul_u8u8_drum_4", "--heat-map", picture).stdout.splitlines()[-1] == str(picture)
    page = errors("mul_u8u8_drum_4").stdout
    assert f"{expected.mae:.10g}" in page and "7425" in page


def test_command_weighs_by_operands(tmp_path):
    counts = np.zeros(256)
    counts[:16] = 1
    np.savez(tmp_path / "operands.npz", a=counts, b=counts)
    result = errors("mul_u8u8_drum_4", "--distribution", tmp_path / "operands.npz", "--json")
    assert json.loads(result.stdout)["mae"] == 0
    np.savez(tmp_path / "joint.npz", joint=np.eye(256))
    result = errors("mul_u8u8_drum_4", "--distribution", tmp_path / "joint.npz", "--json")
    table = ProductTable.of(Drum(bits=4, width_a=8, width_b=8))
    assert json.loads(result.stdout)["mae"] == pytest.approx(np.abs(np.diag(table.errors)).mean())


def test_command_weighs_by_what_a_layer_multiplies():
    """The first layer sees many zeros (the images' background), for which DRUM is exact."""
    weighted = json.loads(errors("mul_u8s8_sm_drum_4", "--layers", "conv1", "--json").stdout)
    uniform = json.loads(errors("mul_u8s8_sm_drum_4", "--json").stdout)
    assert weighted["operands"] == "conv1" and uniform["operands"] is None
    assert 0.05 < weighted["ep"] < 0.6 < uniform["ep"]
    assert weighted["mred"] != uniform["mred"]
    # Layers together count by their multiplications: LeNet-5's take 28·28·25·6 and 10·10·150·16 for an image.
    other, both = (
        json.loads(errors("mul_u8s8_sm_drum_4", "--layers", layers, "--json").stdout)
        for layers in ("conv2", "conv2,conv1")
    )
    of_each = 28 * 28 * 25 * 6, 10 * 10 * 150 * 16
    for figure in ("me", "mae", "ep"):
        expected = (of_each[0] * weighted[figure] + of_each[1] * other[figure]) / sum(of_each)
        assert both[figure] == pytest.approx(expected)
    refused = CliRunner().invoke(main, ["errors", "mul_u8s8_sm_drum_4", "--layers", "conv9"])
    assert refused.exit_code == 2 and "conv1" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "no multiplier's name"),
        (["mul_u8u8_drum_4", "--signed", "both"], "are for tables and Verilog; mul_u8u8_drum_4 is neither"),
        (["missing.npy", "--signed", "none"], "missing.npy"),
        (["missing.npy"], "say --signed"),
        (["mul_u8u8_drum_4", "--distribution", "missing.npz"], "missing.npz"),
        (["mul_u4u4_drum_3", "--distribution", "BAD"], "no .npz file"),
        (["mul_u4u4_drum_3", "--distribution", "BAD", "--layers", "conv1"], "not by both"),
        (["mul_u8u8_booth", "--layers", "conv1"], "signed"),
        (["mul_u8u8_drum_4", "--heat-map", "error.pdf"], "error.pdf: a heat map is written as PNG"),
        (["mul_u8u8_drum_4", "--heat-map", "error"], "give a file name that ends in .png"),
        (["mul_u8u8.drum"], "those end in .v, .sv, "),
        ([], "NAME|FILE"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "BAD").write_text("hello")
    result = CliRunner().invoke(main, ["errors", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.png"))
