"""Every loader on valid files that were damaged: a value or a refusal, and nothing else, in bounded time."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from chains import chain, linear
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from small_liberty import INV, NAND, tiny

from amhw.datasets.idx import read_idx
from amhw.imports.imported import Imported
from amhw.imports.source import Reading, open_file
from amhw.manifests import read_manifest
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import load_network
from amhw.refusal import Refusal
from amhw.report.source import records_of
from amhw.results import Results, Task
from amhw.stages.emission import Emitted
from amhw.study.peers import read_peers
from amhw.study.plan import Plan
from amhw.synth import store
from amhw.synth.liberty import parse_library, read_library
from amhw.table import ProductTable
from amhw.verilog import Design

LONGEST_S = 5
"""Processor time that a damaged file may take; each is read in a few milliseconds when it is whole."""

STUDY = """
title = "One"
technologies = ["sky130hd"]
layers = ["conv1"]
[[data]]
name = "x"
folder = "nowhere"
[[designs]]
group = "masks"
names = ["mul_u3s4_pp_full", "mul_u3s4_pp_0_c_e"]
[array]
rows = 25
"""

NETWORK = chain(
    [linear("f", np.arange(-20, 20).reshape(10, 4), np.arange(10), operands=Operands(8, 8))], (1, 2, 2), (), "small"
)


def stored(n: int) -> Task[Emitted]:
    return Task({"stage": "emit", "n": n}, Emitted, Emitted)


def with_results(file: Path) -> bytes:
    with Results(file) as results:
        for n in range(40):
            results.put(stored(n), Emitted("module m; endmodule\n" * 20))
    return file.read_bytes()


def results_of(file: Path) -> None:
    with Results(file) as results:
        for n in (0, 20, 39):
            results.get(stored(n))
        results.put(stored(40), Emitted(""))
        len(results)


LISTED = Reading(signed="none")
TABLE = Reading(signed="none", order="ab")
RAW = Reading(signed="none", order="ab", dtype="uint8", shape="16x16")
PRODUCTS = np.outer(np.arange(16), np.arange(16))
ROWS = "".join(f"{a},{b},{a * b}\n" for a in range(4) for b in range(4))


def in_c() -> bytes:
    rows = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in PRODUCTS[:4, :4])
    return f"static const int t[4][4] = {{{rows}}};".encode()


def saved(folder: Path) -> bytes:
    np.save(folder / "t.npy", PRODUCTS)
    return (folder / "t.npy").read_bytes()


def manifest(folder: Path) -> bytes:
    return Design.parse("mul_u2u2_pp_full").write(folder, "t")[1].read_bytes()


def imported(folder: Path) -> bytes:
    table = ProductTable(PRODUCTS)
    return Imported("t", table).write(folder).read_bytes()


def technology(folder: Path) -> bytes:
    return store.keep("t", parse_library(tiny(INV, NAND), "t.lib"), "t.lib").read_bytes()


def selection(_: Path) -> bytes:
    record = json.loads((Path(__file__).parent / "data" / "select-front.json").read_text(encoding="utf-8"))
    return json.dumps({**record, "front": record["front"][:1]}).encode()


IDX = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (3, 4, 4)) + bytes(range(48))

LOADERS: dict[str, tuple[str, Callable[[Path], bytes], Callable[[Path], object]]] = {
    "manifest": ("t.json", manifest, read_manifest),
    "manifest of an import": ("t.json", imported, Imported.load),
    "study file": ("t.toml", lambda _: STUDY.encode(), Plan.read),
    "selection": ("t.json", selection, records_of),
    "network": ("t.npz", lambda _: NETWORK.to_bytes(), QuantisedNetwork.load),
    "any network": ("t.npz", lambda _: NETWORK.to_bytes(), load_network),
    "array": ("t.npy", saved, lambda path: open_file(path, TABLE)),
    "numbers in rows": ("t.csv", lambda _: b"\n".join(b",".join(b"%d" % p for p in row) for row in PRODUCTS), None),
    "list of products": ("t.csv", lambda _: b"a,b,p\n" + ROWS.encode(), lambda path: open_file(path, LISTED)),
    "array in C": ("t.h", lambda _: in_c(), None),
    "raw numbers": ("t.bin", lambda _: PRODUCTS.astype("u1").tobytes(), lambda path: open_file(path, RAW)),
    "peers": ("t.csv", lambda _: b"name,area_um2,delay_ps,loss\nx,1.5,2,0.1\n", read_peers),
    "Liberty": ("t.lib", lambda _: tiny(INV, NAND).encode(), read_library),
    "technology": ("t.json", technology, lambda _: store.named("t")),
    "IDX": ("t.idx", lambda _: IDX, lambda path: read_idx(path, (3,))),
    "results": ("t.sqlite", lambda folder: with_results(folder / "t.sqlite"), results_of),
}

ODD = [
    b"",
    b"\0",
    b"\xff",
    b'"',
    b"-",
    b"0",
    b"[" * 20_000,
    b"9" * 6000,
    b"1e400",
    b"NaN",
    b"\n",
    b"../../x",
    b"\\ud800",
]

EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 40),
        st.one_of(st.sampled_from(ODD), st.binary(max_size=8)),
    ),
    min_size=1,
    max_size=3,
)
"""Where, how many bytes are taken away, and what takes their place."""


def edited(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for place, gone, instead in edits:
        at = int(place * len(content))
        content = content[:at] + instead + content[at + gone :]
    return content


@pytest.mark.parametrize("kind", LOADERS)
@settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(edits=EDITS)
@example(edits=[(0.0, 1 << 30, b"")])
@example(edits=[(0.5, 1 << 30, b"")])
def test_a_damaged_file_gives_a_value_or_a_refusal(kind, edits, tmp_path, monkeypatch):
    monkeypatch.setenv("AMHW_TECH_DIR", str(tmp_path))
    name, make, load = LOADERS[kind]
    load = load or (lambda path: open_file(path, TABLE))
    whole = tmp_path / "whole"
    if not whole.exists():
        whole.write_bytes(make(tmp_path))
        (tmp_path / name).write_bytes(whole.read_bytes())
        if kind != "study file":  # its data set is nowhere
            load(tmp_path / name)
    for left in tmp_path.glob(f"{name}-*"):
        left.unlink()  # what SQLite keeps beside a file
    (tmp_path / name).write_bytes(edited(whole.read_bytes(), edits))
    started = time.process_time()
    try:
        load(tmp_path / name)
    except Refusal as refusal:
        assert str(refusal)
    assert time.process_time() - started < LONGEST_S
