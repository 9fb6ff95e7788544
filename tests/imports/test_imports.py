"""Circuits and tables from elsewhere: every trap that public ones have set."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from evoapprox import SIGNED, UNSIGNED, mask_of, table_of

from amhw import Masked, Multiplier, ProductTable, Refusal
from amhw.cli import main
from amhw.families import Drum, SignMagnitude
from amhw.imports import Imported, read_circuit, read_table, suspicions
from amhw.imports.suspicion import likelier_signs
from amhw.verilog import Design

A, B = np.arange(256)[:, None], np.arange(256)[None, :]
NIBBLES = np.roll(np.arange(-8, 8), 8)
VALUES = np.where(np.arange(256) > 127, np.arange(256) - 256, np.arange(256))

LOPSIDED = Masked(rows=(0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFE), width_a=8, width_b=8, signed_a=True, signed_b=True)
"""Not symmetric, so that a swap of the operands shows."""


def verilog(multiplier: Multiplier, ports: dict[str, str], declared: str) -> str:
    """A multiplier's Verilog under a top module whose ports have other names and another order."""
    wires = ", ".join(f".{own}({theirs})" for theirs, own in ports.items())
    name = multiplier.name
    return f"module published({declared}); {name} m({wires}); endmodule\n" + Design(multiplier).verilog()


# Circuits


def test_operands_declared_backwards_are_not_transposed():
    """C models and netlists of a public library declare (B, A): a positional call gives the transpose."""
    text = verilog(LOPSIDED, {"A": "a", "B": "b", "O": "p"}, "input [7:0] B, input [7:0] A, output [15:0] O")
    imported = read_circuit(text, name="backwards", top="published", signed="both")
    expected = ProductTable.of(LOPSIDED)
    assert (expected.products != expected.products.T).any()
    assert imported.table.sha256 == expected.sha256


def test_output_named_z():
    text = verilog(LOPSIDED, {"x": "a", "y": "b", "Z": "p"}, "output [15:0] Z, input [7:0] y, x")
    imported = read_circuit(text, name="z", top="published", signed="both")
    assert (imported.ports.a, imported.ports.b, imported.ports.p) == ("x", "y", "Z")
    assert imported.table.sha256 == ProductTable.of(LOPSIDED).sha256


def test_ports_can_be_said():
    text = verilog(LOPSIDED, {"b": "a", "a": "b", "O": "p"}, "input [7:0] a, b, output [15:0] O")
    plain = read_circuit(text, name="n", top="published", signed="both").table
    said = read_circuit(text, name="n", top="published", a="b", b="a", p="O", signed="both").table
    assert (plain.products == said.products.T).all()
    assert said.sha256 == ProductTable.of(LOPSIDED).sha256
    half = read_circuit(text, name="n", top="published", a="b", signed="both")
    assert half.ports.b == "a"


def test_signed_circuit_with_unsigned_ports_is_noticed():
    row = SIGNED[0]
    text = verilog(mask_of(row), {"A": "a", "B": "b", "O": "p"}, "input [7:0] A, B, output [15:0] O")
    with pytest.raises(Refusal, match="fit --signed both better"):
        read_circuit(text, name="typed unsigned", top="published")
    stated = read_circuit(text, name="stated", top="published", signed="both")
    assert stated.table.sha256 == row["table_sha256"]


@pytest.mark.parametrize("row", SIGNED + UNSIGNED, ids=lambda row: row["name"])
def test_products_tell_signed_from_unsigned(row):
    """However inaccurate: each published circuit is taken for what it is, and not for anything else."""
    codes = table_of(row).products.astype(np.int64) & 0xFFFF
    both = row["signedness"] == "signed"
    assert likelier_signs(codes, 16, (both, both)) is None
    assert likelier_signs(codes, 16, (not both, not both)) == ("both" if both else "none")


@pytest.mark.parametrize("signed", [(False, False), (False, True), (True, False), (True, True)])
def test_declared_signs_are_believed_when_they_fit(signed):
    multiplier = SignMagnitude(core=Drum(bits=4, width_a=6, width_b=5), signed_a=signed[0], signed_b=signed[1]) if any(
        signed) else Drum(bits=4, width_a=6, width_b=5)  # fmt: skip
    kinds = ["signed " if sign else "" for sign in signed]
    declared = f"input {kinds[0]}[5:0] a, input {kinds[1]}[4:0] b, output [10:0] p"
    imported = read_circuit(
        verilog(multiplier, {"a": "a", "b": "b", "p": "p"}, declared), name="declared", top="published"
    )
    assert imported.table.sha256 == ProductTable.of(multiplier).sha256


def test_unsigned_circuit_needs_no_word():
    multiplier = Drum(bits=3, width_a=8, width_b=8)
    assert read_circuit(Design(multiplier).verilog(), name="u").table.sha256 == ProductTable.of(multiplier).sha256


@pytest.mark.parametrize(
    ("declared", "body", "options", "words"),
    [
        ("input [3:0] left, right, output [7:0] p", "assign p = left * right;", {}, "--a and --b: left and right"),
        (
            "input [3:0] a, b, c, output [7:0] p",
            "assign p = a * b + c;",
            {},
            "p of module m depends on c too; say --hold c=VALUE",
        ),
        ("input [3:0] a, output [7:0] p", "assign p = a;", {}, "two inputs"),
        ("input [3:0] a, b, output [7:0] p, q", "assign p = a * b, q = 0;", {}, "one of p, q"),
        ("input [3:0] a, b, output [7:0] p", "assign p = a * b;", {"a": "x"}, "no input 'x'"),
        ("input [3:0] a, b, output [7:0] p", "assign p = a * b;", {"p": "a"}, "no output 'a'"),
        ("input [3:0] a, b, output [7:0] p", "assign p = a * b;", {"a": "a", "b": "a"}, "both operands"),
        ("input [3:0] a, b, output [7:0] p", "assign p = a * b;", {"signed": "yes"}, "none, a, b, both"),
        ("input [15:0] a, b, output [31:0] p", "assign p = a * b;", {}, "cannot hold"),
    ],
)
def test_what_is_not_clear_is_refused(declared, body, options, words):
    with pytest.raises(Refusal) as refusal:
        read_circuit(f"module m({declared}); {body} endmodule", name="unclear", **options)
    assert words in str(refusal.value)


# Identity


def test_one_name_for_two_circuits_gives_two_files(tmp_path):
    """The same name means different circuits in two branches of a public library."""
    first = Imported("mul8u_X", ProductTable.of(Masked.columns(3, 4, 4)))
    second = Imported("mul8u_X", ProductTable.of(Masked.columns(4, 4, 4)))
    paths = {first.write(tmp_path), second.write(tmp_path)}
    assert len(paths) == 2
    assert {Imported.load(path).table.sha256 for path in paths} == {first.table.sha256, second.table.sha256}


def test_what_was_written_is_read_back_or_refused(tmp_path):
    imported = read_circuit(Design(LOPSIDED).verilog(), name="a b/c", signed="both")
    manifest = imported.write(tmp_path)
    again = Imported.load(manifest)
    assert (again.label, again.top, again.ports) == (imported.label, imported.top, imported.ports)
    assert again.table.sha256 == imported.table.sha256 and again.verilog == imported.verilog
    array = manifest.with_suffix(".npy")
    changed = np.load(array)
    changed[1, 1] += 1
    np.save(array, changed)
    with pytest.raises(Refusal, match="is not the table"):
        Imported.load(manifest)
    array.unlink()
    with pytest.raises(Refusal, match="cannot read"):
        Imported.load(manifest)
    (tmp_path / "other.json").write_text('{"kind": "multiplier"}')
    with pytest.raises(Refusal, match="no manifest of an import"):
        Imported.load(tmp_path / "other.json")


# Tables


def write(path, products) -> None:
    """One table in the format of the path's suffix, first index first."""
    if path.suffix == ".npy":
        np.save(path, products)
    elif path.suffix == ".bin":
        path.write_bytes(np.asarray(products).astype("<i2" if products.min() < 0 else "<u2").tobytes())
    elif path.suffix == ".csv":
        np.savetxt(path, products, fmt="%d", delimiter=",")
    else:
        rows = ",\n".join("{" + ", ".join(map(str, row)) + "}" for row in products.tolist())
        path.write_text(f"// 99 numbers\nconst int16_t lut [256][256] = {{{rows}}};\n")


@pytest.mark.parametrize("suffix", [".npy", ".bin", ".csv", ".h"])
@pytest.mark.parametrize("order", ["ab", "ba"])
def test_tables_in_every_format_and_order(tmp_path, suffix, order):
    table = ProductTable.of(LOPSIDED)
    path = tmp_path / f"table{suffix}"
    write(path, table.products if order == "ab" else table.products.T)
    shape = "256x256" if suffix == ".bin" else None
    assert read_table(path, signed="both", order=order, shape=shape).sha256 == table.sha256


def test_mixed_signs_turn_with_the_order(tmp_path):
    table = ProductTable.of(Masked.columns(5, 3, 5, signed_b=True))
    write(tmp_path / "t.npy", table.products.T)
    read = read_table(tmp_path / "t.npy", signed="b", order="ba")
    assert (read.width_a, read.width_b, read.signed_a, read.signed_b) == (3, 5, False, True)
    assert read.sha256 == table.sha256


def test_signedness_is_stated_or_refused(tmp_path):
    write(tmp_path / "t.npy", ProductTable.of(Masked.exact(8, 8)).products)
    with pytest.raises(Refusal, match="say --signed"):
        read_table(tmp_path / "t.npy", signed=None)


def test_order_is_stated_or_refused_unless_it_makes_no_difference(tmp_path):
    write(tmp_path / "same.npy", ProductTable.of(Masked.exact(8, 8)).products)
    assert read_table(tmp_path / "same.npy", signed="none").products[3, 5] == 15
    write(tmp_path / "other.npy", ProductTable.of(LOPSIDED).products)
    with pytest.raises(Refusal, match="say --order ab"):
        read_table(tmp_path / "other.npy", signed="both")


def test_listed_products_name_their_operands(tmp_path):
    """Lines under the header b,a,p: no order to state, and values instead of codes."""
    table = ProductTable.of(Masked.columns(3, 3, 4, signed_b=True))
    lines = [f"{b},{a},{table.products[a % 8, b % 16]}" for b in range(-8, 8) for a in range(8)]
    path = tmp_path / "list.csv"
    path.write_text("b,a,p\n" + "\n".join(lines) + "\n")
    assert read_table(path, signed="b").sha256 == table.sha256
    with pytest.raises(Refusal, match="see --signed"):
        read_table(path, signed="none")
    with pytest.raises(Refusal, match="leave out --order"):
        read_table(path, signed="b", order="ba")
    path.write_text("b,a,p\n" + "\n".join(lines[:-1] + lines[:1]) + "\n")
    with pytest.raises(Refusal, match="listed twice"):
        read_table(path, signed="b")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.txt", b"1", "tables end in"),
        ("t.npy", b"hello", "no NumPy array"),
        ("t.bin", b"123", "3 bytes are no table"),
        ("t.csv", b"1,2\n3\n", "different lengths"),
        ("t.csv", b"1,x\n3,4\n", "'x' is no integer"),
        ("t.csv", b"1,99999999999999999999\n3,4\n", "no integer"),
        ("t.csv", b"1,2,3\n4,5,6\n7,8,9\n", "columns are labelled 2 … 3"),
        ("t.csv", b"1,\x00\n", "no text"),
        ("t.csv", b"", "no products"),
        ("t.h", b"int x = 3;", "two dimensions"),
        ("t.h", b"int t[2][2] = {1, 2, 3};", "3 numbers in an array declared [2][2]"),
        ("t.npy", None, "cannot read"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refusal) as refusal:
        read_table(path, signed="none", order="ab")
    assert words in str(refusal.value) and str(path) in str(refusal.value)


# Suspicions


def quadrants_of_two_multipliers(multiplier: Masked) -> np.ndarray:
    """As a widely shipped table: negative × negative is |a|·|b| from the positive quadrant, the rest is right."""
    products = ProductTable.of(multiplier).products.copy()
    magnitude = np.abs(VALUES)
    negative = np.ix_(range(128, 256), range(128, 256))
    products[negative] = products[np.ix_(magnitude[128:], magnitude[128:])]
    return products


def test_a_negative_quadrant_from_another_multiplier_is_noticed():
    published = mask_of(next(row for row in SIGNED if row["name"] == "mul8s_1L2H"))
    shipped = ProductTable(quadrants_of_two_multipliers(published), True, True)
    assert any("negative × negative" in doubt for doubt in suspicions(shipped))
    assert not suspicions(ProductTable.of(published))


def test_sound_tables_raise_no_suspicion():
    for row in SIGNED + UNSIGNED:
        # One published circuit adds 1 to everything.
        expected = ["0·x is not always 0"] if row["name"] == "mul8u_2P7" else []
        assert suspicions(table_of(row)) == expected, row["name"]
    for signs in ((False, True), (True, False), (True, True)):
        core = Drum(bits=4, width_a=8, width_b=8)
        assert not suspicions(ProductTable.of(SignMagnitude(core=core, signed_a=signs[0], signed_b=signs[1])))


@pytest.mark.parametrize(
    ("products", "signs", "words"),
    [
        (VALUES[:, None] * VALUES[None, :], (False, True), "signed = both it would be 0.0"),
        (A * VALUES[None, :], (True, True), "signed = b it would be 0.0"),
        (np.sort(VALUES)[:, None] * np.sort(VALUES)[None, :], (True, True), "by value"),
        (A * B + 1, (False, False), "0·x is not always 0"),
        ((VALUES[:, None] * VALUES[None, :]) & 0xFFFF, (False, False), "signed = both it would be 0.0"),
        ((A * VALUES[None, :]) & 0xFFFF, (False, False), "signed = b it would be 0.0"),
        (
            (VALUES[:, None] * VALUES[None, :]) & 0xFFFF,
            (True, True),
            "with the products as signed words it would be 0.0",
        ),
        ((A * B + 0x8000) % 0x10000 - 0x8000, (False, False), "with the products as unsigned words it would be 0.0"),
        ((A * B + 0x8000) % 0x10000 - 0x8000, (True, True), "signed = none it would be 0.0"),
        ((NIBBLES[:, None] * NIBBLES[None, :]) & 0xFFFF, (False, False), "signed = both it would be 0.0"),
    ],
)
def test_a_wrong_reading_is_noticed(products, signs, words):
    assert any(words in doubt for doubt in suspicions(ProductTable(products, *signs)))


@pytest.mark.parametrize("row", SIGNED, ids=lambda row: row["name"])
def test_signed_words_typed_unsigned_are_noticed(tmp_path, row):
    """A .bin file of 16-bit words says nothing of their sign: read as unsigned, −1 is 65535."""
    write(tmp_path / "words.bin", table_of(row).products)
    right = read_table(tmp_path / "words.bin", signed="both", order="ab", shape="256x256")
    assert right.sha256 == row["table_sha256"] and not suspicions(right)
    wrong = read_table(tmp_path / "words.bin", signed="none", order="ab", shape="256x256")
    assert wrong.products.min() >= 0
    assert any("as signed = both it would be" in doubt for doubt in suspicions(wrong))


@pytest.mark.parametrize("row", UNSIGNED, ids=lambda row: row["name"])
def test_unsigned_words_typed_signed_are_noticed(tmp_path, row):
    write(tmp_path / "words.bin", table_of(row).products)
    wrong = read_table(tmp_path / "words.bin", signed="both", order="ab", shape="256x256")
    assert any("as signed = none it would be" in doubt for doubt in suspicions(wrong))


# The command


SEVERAL = """
module one(input [3:0] a, b, output [7:0] p, q); assign p = a * b; assign q = 0; endmodule
module two(input [3:0] left, right, output [7:0] p, q); assign p = left * (right & 4'd12); assign q = 0; endmodule
"""


@pytest.mark.parametrize("command", [["import"], ["errors"], ["export", "--format", "npy"], ["accuracy"]])
def test_every_command_that_reads_verilog_chooses_module_and_ports(command, tmp_path):
    source = tmp_path / "several.v"
    source.write_text(SEVERAL)
    out = [] if command[0] in ("errors", "accuracy") else ["--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(main, [*command, str(source), *out])
    assert refused.exit_code == 2
    assert "several possible tops: one, two; choose one with --top" in refused.stderr
    refused = CliRunner().invoke(main, [*command, str(source), *out, "--top", "three"])
    assert refused.exit_code == 2 and "no module three in this Verilog; its modules: one, two" in refused.stderr
    if command[0] == "accuracy":
        return  # 4 × 4 unsigned bits are not for the network; see tests/test_accuracy.py
    said = ["--top", "two", "--a", "right", "--b", "left", "--p", "p", "--json"]
    result = CliRunner().invoke(main, [*command, str(source), *out, *said])
    assert result.exit_code == 0, result.stderr
    codes = np.arange(16)
    expected = ProductTable((codes & 12)[:, None] * codes[None, :])
    assert json.loads(result.stdout)["table_sha256"] == expected.sha256


def run(*arguments):
    return CliRunner().invoke(main, ["import", *map(str, arguments)])


def test_command_imports_a_circuit_with_its_cost(tmp_path):
    row = SIGNED[0]
    source = tmp_path / "mul8s_1KR3.v"
    source.write_text(verilog(mask_of(row), {"A": "a", "B": "b", "O": "p"}, "input [7:0] A, B, output [15:0] O"))
    refused = run(source, "--top", "published", "--out", tmp_path / "out")
    assert refused.exit_code == 2 and not (tmp_path / "out").exists()
    result = run(source, "--top", "published", "--signed", "both", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert record["table_sha256"] == row["table_sha256"]
    assert record["errors"]["wce"] == 8064
    assert record["cost"]["area_um2"] > 0 and record["cost"]["delay_ps"] > 0
    shown = CliRunner().invoke(main, ["errors", record["manifest"], "--json"])
    assert json.loads(shown.stdout)["mae"] == 2016


def test_command_reads_modules_from_libraries(tmp_path):
    (tmp_path / "top.v").write_text(
        "module t(input [1:0] a, b, output [3:0] p); cell2 c(.x(a), .y(b), .z(p)); endmodule"
    )
    (tmp_path / "cells.v").write_text("module cell2(input [1:0] x, y, output [3:0] z); assign z = x * y; endmodule")
    assert run(tmp_path / "top.v", "--out", tmp_path).exit_code == 2
    result = run(tmp_path / "top.v", "--library", tmp_path / "cells.v", "--tech", "none", "--out", tmp_path, "--json")
    assert json.loads(result.stdout)["errors"]["wce"] == 0


def test_command_imports_a_table_and_says_what_is_odd(tmp_path):
    published = mask_of(next(row for row in SIGNED if row["name"] == "mul8s_1L2H"))
    write(tmp_path / "shipped.h", quadrants_of_two_multipliers(published))
    result = run(tmp_path / "shipped.h", "--signed", "both", "--order", "ab", "--out", tmp_path, "--json")
    assert result.exit_code == 0
    assert "negative × negative" in result.stderr
    assert json.loads(result.stdout)["cost"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.v"], "nothing.v"),
        (["notes.txt"], "neither Verilog"),
        (["t.npy", "--signed", "none", "--a", "x"], "are for Verilog"),
        (["c.v", "--order", "ab"], "--order: such options are for tables"),
        (["c.v", "--tech", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.v").write_text("module m(input [1:0] a, b, output [3:0] p); assign p = a * b; endmodule")
    np.save(tmp_path / "t.npy", np.zeros((4, 4), dtype=int))
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "imports").exists()
