"""The command `amhw tech`: Liberty files in, named technologies out."""

import gzip
import json

import pytest
from click.testing import CliRunner

from amhw.commands.synth import command as synth
from amhw.commands.tech import command
from amhw.synth import Synthesiser, Technology
from amhw.synth.store import named

VERILOG = "module m(input [1:0] a, b, output [3:0] p); assign p = a * b; endmodule"
REGISTER = "module m(input c, d, output reg q); always @(posedge c) q <= d; endmodule"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AMHW_TECH_DIR", str(tmp_path / "technologies"))


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def liberty(tmp_path):
    path = tmp_path / "sg.lib.gz"
    path.write_bytes(gzip.compress(Technology.named("sg13g2").liberty.encode()))
    return path


def test_an_imported_library_gives_the_figures_of_its_file(liberty, tmp_path):
    assert run("import", liberty, "--name", "mine").exit_code == 0
    found = []
    for technology in (named("mine"), Technology.from_liberty(liberty)):
        with Synthesiser(technology, workers=1) as synthesiser:
            found.append(synthesiser.submit(VERILOG).result())
    stored, direct = found
    assert [m.area_um2 for m in stored.mappings] == [m.area_um2 for m in direct.mappings]
    for one, other in zip(stored.mappings, direct.mappings, strict=True):
        assert one.delay_ps == pytest.approx(other.delay_ps, rel=1e-4)
    (tmp_path / "m.v").write_text(VERILOG)
    result = CliRunner().invoke(synth, [str(tmp_path / "m.v"), "--tech", "mine", "--quick", "--json"])
    assert json.loads(result.stdout)["tech"] == "mine"


def test_list_and_show(liberty):
    assert "sky130hd" in run("list").stdout and "imported" not in run("list").stdout
    run("import", liberty)
    listed = json.loads(run("list", "--json").stdout)
    assert set(listed) == {"sg13g2", "sky130hd", "sg"}
    shown = json.loads(run("show", "sg", "--json").stdout)
    assert shown == listed["sg"]
    assert shown["cells"] == {cell.name: cell.area for cell in Technology.named("sg13g2").library.cells.values()}
    assert "adders mapped full\n" in run("show", "sky130hd").stdout
    assert "sky130_fd_sc_hd__fa_1" in run("show", "sky130hd").stdout


def test_a_library_without_flip_flops_serves_combinational_designs(tmp_path):
    library = Technology.named("sg13g2").library
    names = [name for name, cell in library.cells.items() if cell.flip_flop is None]
    path = tmp_path / "gates.lib"
    path.write_text(Technology.of("gates", library.restricted_to(names)).liberty)
    result = run("import", path)
    assert result.exit_code == 0 and "no flip-flops" in result.stderr
    with Synthesiser(named("gates"), workers=1) as synthesiser:
        assert synthesiser.submit(VERILOG, prove=True).result().verified
    (tmp_path / "r.v").write_text(REGISTER)
    result = CliRunner().invoke(synth, [str(tmp_path / "r.v"), "--tech", "gates"])
    assert result.exit_code == 2 and "flip-flops" in result.stderr and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("module m; endmodule", "x", "no Liberty file"),
        ("library (x) { cell (y) {", "x", "damaged or truncated"),
        (None, "sky130hd", "shipped technology; choose another"),
        (None, "a/b", "no technology's name"),
    ],
)
def test_refusals(liberty, tmp_path, text, name, says):
    path = liberty
    if text is not None:
        path = tmp_path / "bad.lib"
        path.write_text(text)
    result = run("import", path, "--name", name)
    assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "technologies").exists()


def test_unknown_and_damaged(liberty, tmp_path):
    run("import", liberty, "--name", "mine")
    assert "known: sg13g2, sky130hd, mine" in run("show", "other").stderr
    (tmp_path / "technologies" / "mine.json").write_text("{}")
    assert "damaged; import the Liberty file again" in run("show", "mine").stderr
