"""Circuits and tables from elsewhere take part in a study."""

import numpy as np
import pytest
from evoapprox import UNSIGNED, table_of

from amhw import Masked, ProductTable, Refusal
from amhw.imports import Imported, read_circuit
from amhw.results import Results
from amhw.study.plan import Plan
from amhw.study.sweep import Sweep
from amhw.verilog import Design
from amhw.workers import executor


@pytest.fixture
def few_images(tmp_path):
    """Forty test images in IDX files."""
    from amhw.datasets import mnist_test

    data = mnist_test().first(40)
    folder = tmp_path / "images"
    folder.mkdir()
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (40, 28, 28))
    (folder / "t10k-images-idx3-ubyte").write_bytes(header + np.asarray(data.images).astype("uint8").tobytes())
    (folder / "t10k-labels-idx1-ubyte").write_bytes(
        b"\0\0\x08\x01" + (40).to_bytes(4, "big") + np.asarray(data.labels).astype("uint8").tobytes()
    )
    return folder


def test_an_imported_circuit_gets_the_row_of_the_multiplier_that_it_is(tmp_path, few_images):
    multiplier = Masked.from_text("columns>=6", 8, 8, signed_b=True)
    text = Design(multiplier).verilog()
    manifest = read_circuit(text, name="published", signed="b").write(tmp_path)
    (tmp_path / "study.toml").write_text(
        f'[[data]]\nfolder = "{few_images}"\n[[designs]]\nnames = ["{multiplier.name}", "{manifest.name}"]\n'
    )
    sweep = Sweep(Plan.read(tmp_path / "study.toml"))
    with Results(tmp_path / "results.sqlite") as results, executor(1) as pool:
        (own, imported), _ = sweep.run(results, pool)
    assert not own.failure and not imported.failure
    assert imported.name == manifest.stem and imported.products == "" and imported.kept is None
    for figure in ("area_um2", "area_ratio", "delay_ps", "delay_ratio", "correct", "images"):
        assert getattr(imported, figure) == getattr(own, figure) is not None, figure


def test_a_table_has_an_accuracy_and_no_cost(tmp_path, few_images, monkeypatch):
    products = ProductTable.of(Masked.exact(8, 8, signed_b=True))
    manifest = Imported("table", products).write(tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = Plan.of_names([manifest.name], data=Plan.read(_toml(tmp_path, few_images)).data)
    with Results(tmp_path / "results.sqlite") as results, executor(1) as pool:
        [row], _ = Sweep(plan).run(results, pool)
    assert row.correct is not None and row.area_um2 is None and row.area_ratio is None and not row.failure
    assert row.source == str(manifest)  # found from any folder


def _toml(tmp_path, folder):
    path = tmp_path / "data.toml"
    path.write_text(f'[[data]]\nfolder = "{folder}"\n[[designs]]\nnames = ["mul_u8s8_pp_full"]\n')
    return path


def test_operands_that_the_network_does_not_have_are_refused(tmp_path):
    manifest = Imported(UNSIGNED[0]["name"], table_of(UNSIGNED[0])).write(tmp_path)
    with pytest.raises(Refusal, match="signed"):
        Sweep(Plan.of_names([str(manifest)]))
