"""Operands of one sign: every width and kind of levels, against the circuit and against their definition."""

import numpy as np
import pytest
from click.testing import CliRunner

from amhw.circuit import Circuit
from amhw.cli import main
from amhw.families import Signs
from amhw.multiplier import parse
from amhw.refusal import Refusal
from amhw.table import ProductTable
from amhw.verilog import Design

CASES = [
    ("bb", 1, 1, False, True),
    ("bb", 1, 1, True, True),
    ("ub", 1, 1, False, True),
    ("uu", 1, 1, False, False),
    ("bt", 1, 2, False, True),
    ("tb", 2, 1, True, True),
    ("ut", 2, 2, False, True),
    ("tt", 3, 2, True, True),
    ("tt", 4, 5, True, True),
    ("bb", 5, 3, False, True),
    ("ut", 8, 8, False, True),
    ("bb", 8, 8, False, True),
]


@pytest.mark.parametrize(("levels", "width_a", "width_b", "signed_a", "signed_b"), CASES)
def test_the_circuit_is_the_golden_model(levels, width_a, width_b, signed_a, signed_b):
    multiplier = Signs(levels=levels, width_a=width_a, width_b=width_b, signed_a=signed_a, signed_b=signed_b)
    assert parse(multiplier.name) == multiplier
    table = ProductTable.of(multiplier)
    circuit = Circuit.read(Design(multiplier).verilog(), multiplier.name)
    codes_a, codes_b = np.indices(table.products.shape)
    found = circuit.evaluate({"a": codes_a, "b": codes_b})["p"]
    assert np.array_equal(found, table.products % (1 << (width_a + width_b)))


def test_one_bit_is_an_xnor_gate():
    table = ProductTable.of(parse("mul_u1s1_sign_bb"))
    # Code 1 of a two's-complement bit is −1, so the levels of the codes are (−1, +1) and (+1, −1).
    levels = np.outer([-1, 1], [1, -1])
    assert np.array_equal(table.products, levels)


@pytest.mark.parametrize(
    ("name", "a", "b", "wanted"),
    [
        ("mul_u8s8_sign_ub", [127, 128, 255], [-1, -1, 0], [0, -1, 1]),
        ("mul_u8s8_sign_bb", [127, 127, 128], [-128, 127, 127], [1, -1, 1]),
        ("mul_s8s8_sign_tt", [63, 64, -64, -65], [100, 100, 100, 100], [0, 1, 0, -1]),
    ],
)
def test_levels(name, a, b, wanted):
    assert (parse(name).golden(a, b) // 2**14).tolist() == wanted


def test_zero():
    for name, exact in (("mul_u8s8_sign_bb", False), ("mul_u8s8_sign_ut", True), ("mul_s8s8_sign_tt", True)):
        table = ProductTable.of(parse(name))
        assert (parse(name).zero_exception is None) == exact == (not table.products[0].any())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mul_u8u8_sign_bb", "make an operand two's complement"),
        ("mul_s8s8_sign_ub", "operand a is signed and cannot have the levels u; choose b or t"),
        ("mul_u8s8_sign_tb", "operand a is unsigned and cannot have the levels t; choose b or u"),
        ("mul_u1s1_sign_bt", "operand b has 1 bit; three levels take 2"),
        ("mul_u8s8_sign_b", "wanted two of b"),
        ("mul_u1s1_pp_1", "width of a is 1; choose 2 to 32 bits"),
        ("mul_u1s1_booth", "width of a is 1; choose 2 to 32 bits"),
    ],
)
def test_what_cannot_be_is_refused(name, message):
    with pytest.raises(Refusal, match=message):
        parse(name)


def test_it_goes_the_whole_way(tmp_path):
    for command in (["gen", "mul_u1s1_sign_bb", "--out", str(tmp_path)], ["sim", str(tmp_path / "mul_u1s1_sign_bb.v")]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    assert "4/4 products match" in result.output
