"""Verilog as a function: read by Yosys, evaluated gate by gate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amhw import Refusal
from amhw.circuit import Circuit

A, B = np.arange(256)[:, None], np.arange(256)[None, :]


def module(ports: str, body: str, name: str = "m") -> str:
    return f"module {name}({ports}); {body} endmodule\n"


def test_every_pair_of_an_8_by_8_multiplier():
    circuit = Circuit.read(module("input [7:0] a, b, output [15:0] p", "assign p = a * b;"))
    assert (circuit.evaluate({"a": A, "b": B})["p"] == A * B).all()


@pytest.mark.parametrize(
    ("ports", "a", "b"),
    [("input [0:7] a, input [15:8] b, output [16:1] p", A, B), ("output [0:15] p, input [7:0] b, a", A, B)],
)
def test_ranges_written_any_way_round(ports, a, b):
    circuit = Circuit.read(module(ports, "assign p = a - 3 * b;"))
    assert (circuit.evaluate({"a": a, "b": b})["p"] == (a - 3 * b) & 0xFFFF).all()


def test_declared_signs_are_reported_and_codes_stay_unsigned():
    circuit = Circuit.read(module("input signed [3:0] a, input [3:0] b, output signed [7:0] p", "assign p = a;"))
    assert circuit.inputs["a"].signed and not circuit.inputs["b"].signed
    assert circuit.evaluate({"a": 15, "b": 0})["p"] == 255


def test_one_bit_ports_constants_and_wires():
    circuit = Circuit.read(module("input x, output y, output [2:0] z, output w", "assign y = ~x, z = 5, w = x;"))
    found = circuit.evaluate({"x": [0, 1]})
    assert [found[name].tolist() for name in "yzw"] == [[1, 0], [5, 5], [0, 1]]


def test_hierarchy_always_blocks_and_functions():
    text = module(
        "input [3:0] x, output reg [3:0] y", "always @* case (x[1:0]) 0: y = x; default: y = ~x; endcase", "low"
    )
    text += module("input [3:0] x, output [3:0] y", "wire [3:0] t; low l(.y(t), .x(x)); assign y = t + 1;", "high")
    circuit = Circuit.read(text)
    assert circuit.top == "high"
    x = np.arange(16)
    expected = (np.where(x & 3, ~x, x) + 1) & 15
    assert circuit.evaluate({"x": x})["y"].tolist() == expected.tolist()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32), st.sampled_from("+-*&|^"))
def test_arithmetic_of_any_width(width_x, width_y, seed, operator):
    text = module(
        f"input [{width_x - 1}:0] x, input [{width_y - 1}:0] y, output [30:0] z", f"assign z = x {operator} y;"
    )
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 1 << width_x, 100), random.integers(0, 1 << width_y, 100)
    expected = {"+": x + y, "-": x - y, "*": x * y, "&": x & y, "|": x | y, "^": x ^ y}[operator]
    assert (Circuit.read(text).evaluate({"x": x, "y": y})["z"] == expected & 0x7FFFFFFF).all()


def test_an_unreachable_x_is_no_matter_and_a_reachable_one_is_refused():
    body = "always @* case (x) 0: y = 1; 1: y = 0; {} default: y = 1'bx; endcase"
    whole = Circuit.read(module("input x, output reg y", body.format("")))
    assert whole.evaluate({"x": [0, 1]})["y"].tolist() == [1, 0]
    partial = Circuit.read(module("input [1:0] x, output reg y", body.format("")))
    with pytest.raises(Refusal, match="undefined"):
        partial.evaluate({"x": [0, 1, 2, 3]})
    assert partial.evaluate({"x": [0, 1]})["y"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "top", "words"),
    [
        ("", None, "no module with contents"),
        ("hello", None, "syntax error"),
        (module("input a, output b", "assign b = c;"), None, "no driver"),
        (module("input a, output b", "wire c; assign b = c;"), None, "no driver"),
        (module("input a, output b", "wire c; assign c = ~(c & a); assign b = c;"), None, "loop"),
        (module("input k, a, output reg b", "always @* if (k) b <= a;"), None, "a latch is no register"),
        (module("input a, inout b, output c", "assign c = a;"), None, "neither input nor output"),
        (module("input a, output b", "other o(a, b);"), None, "other"),
        ("".join(module("input a, output b", "assign b = a;", name) for name in "xy"), None, "x, y"),
        (module("input a, output b", "assign b = a;"), "none", "none"),
        (module("input a, output b", "assign b = a;"), "m; shell", "no module's name"),
    ],
)
def test_what_is_no_circuit_is_refused(text, top, words):
    with pytest.raises(Refusal) as refusal:
        Circuit.read(text, top)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_one_of_several_modules_can_be_chosen():
    text = module("input a, output b", "assign b = a;", "x") + module("input a, output b", "assign b = ~a;", "y")
    assert Circuit.read(text, "y").evaluate({"a": 0})["b"] == 1


def test_inputs_go_by_name():
    circuit = Circuit.read(module("input a, output b", "assign b = a;"))
    with pytest.raises(Refusal, match="has the inputs a"):
        circuit.evaluate({"x": 1})
