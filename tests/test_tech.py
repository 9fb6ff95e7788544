"""The command `amhw tech`: Liberty files in, named technologies out."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from amhw.commands.synth import command as synth
from amhw.commands.tech import command
from amhw.synth import Synthesiser, Technology
from amhw.synth.library import liberty_text
from amhw.synth.opensta import available
from amhw.synth.store import named

DATA = Path(__file__).parent / "data" / "synth" / "liberty"

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
    assert [m.delay_ps for m in stored.mappings] == [m.delay_ps for m in direct.mappings]
    (tmp_path / "m.v").write_text(VERILOG)
    result = CliRunner().invoke(synth, [str(tmp_path / "m.v"), "--tech", "mine", "--quick", "--json"])
    assert json.loads(result.stdout)["tech"] == "mine"


def split(liberty, tmp_path):
    """The library of `liberty` in two files, one of them packed."""
    library = Technology.from_liberty(liberty).library
    names = list(library.cells)
    paths = tmp_path / "first.lib", tmp_path / "second.lib.gz"
    for path, chosen in zip(paths, (names[::2], names[1::2]), strict=True):
        text = liberty_text(library.restricted_to(chosen)).encode()
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return paths


def test_a_technology_in_several_files_gives_the_figures_of_the_one(liberty, tmp_path):
    first, second = split(liberty, tmp_path)
    result = run("import", first, second, "--name", "parts")
    assert result.exit_code == 0 and result.stdout.startswith("parts: 51 cells\n"), result.output
    assert json.loads(run("show", "parts", "--json").stdout)["source"] == "first.lib, second.lib.gz"
    (tmp_path / "m.v").write_text(VERILOG)
    figures = []
    for arguments in (["--liberty", str(liberty)], ["--liberty", f"{first},{second}"], ["--tech", "parts"]):
        result = CliRunner().invoke(synth, [str(tmp_path / "m.v"), *arguments, "--quick", "--json"])
        assert result.exit_code == 0, result.output
        record = json.loads(result.stdout)
        figures.append([record["area_um2"], record["delay_ps"]])
    assert figures[0][0] > 0
    assert figures[1] == figures[2]  # in another order of cells than the one file's, which decides ties in ABC
    assert figures[1][0] == pytest.approx(figures[0][0], rel=0.1)


def test_several_files_need_a_name(liberty, tmp_path):
    result = run("import", *split(liberty, tmp_path))
    assert result.exit_code == 2 and "say so with --name" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "technologies").exists()


def test_cells_that_a_flow_does_not_use_are_left_out(liberty):
    whole = Technology.from_liberty(liberty).library.cells
    result = run("import", liberty, "--name", "mine", "--without", "*_8", "--without", "sg13g2_x*")
    assert result.exit_code == 0, result.output
    kept = named("mine").library.cells
    assert set(kept) == {n for n in whole if not n.endswith("_8") and not n.startswith("sg13g2_x")} < set(whole)
    assert json.loads(run("show", "mine", "--json").stdout)["source"] == "sg.lib.gz, without *_8, without sg13g2_x*"
    nothing = run("import", liberty, "--name", "other", "--without", "*_9")
    assert nothing.exit_code == 2 and "--without '*_9': no cell has such a name" in nothing.stderr
    every = run("import", liberty, "--name", "other", "--without", "*")
    assert every.exit_code == 2 and "--without '*' leaves no cell of sg.lib.gz\n" in every.stderr
    assert run("list").stdout.count("imported") == 1


def test_both_doors_give_one_technology(tmp_path):
    """Same text for the tools, same figures, whatever axes the tables have: 366.3 ps by hand and by OpenSTA."""
    path = DATA / "two_slew_axes.lib"
    assert run("import", path, "--name", "two").exit_code == 0
    assert named("two").sha256 == Technology.from_liberty(path).sha256
    (tmp_path / "nand.v").write_text(
        "module one(input a, input b, input c, output p); assign p = ~(~(a & b) & c); endmodule"
    )
    delays = []
    for arguments in (["--liberty", str(path)], ["--tech", "two"]):
        for timer in ("builtin", *(["opensta"] if available() else [])):
            command = [str(tmp_path / "nand.v"), *arguments, "--timer", timer, "--json"]
            delays.append(json.loads(CliRunner().invoke(synth, command).stdout)["delay_ps"])
    assert delays == [pytest.approx(366.3, abs=0.05)] * len(delays)


def test_a_damaged_technology_does_not_hide_the_others(liberty, tmp_path):
    run("import", liberty, "--name", "mine")
    (tmp_path / "technologies" / "broken.json").write_text("{")
    for arguments in (["list"], ["list", "--json"]):
        result = run(*arguments)
        assert result.exit_code == 0 and "mine" in result.stdout and "sky130hd" in result.stdout
        assert "broken.json is damaged" in result.stderr and result.stderr.count("\n") == 1
    assert set(json.loads(run("list", "--json").stdout)) == {"sg13g2", "sky130hd", "mine"}


def test_list_and_show(liberty):
    assert "sky130hd" in run("list").stdout and "imported" not in run("list").stdout
    run("import", liberty)
    listed = json.loads(run("list", "--json").stdout)
    assert set(listed) == {"sg13g2", "sky130hd", "sg"}
    shown = json.loads(run("show", "sg", "--json").stdout)
    assert shown == listed["sg"]
    of_file = json.loads(run("show", liberty, "--json").stdout)
    assert (of_file["name"], of_file["cells"]) == ("sg", shown["cells"])
    assert shown["cells"] == {cell.name: cell.area for cell in Technology.named("sg13g2").library.cells.values()}
    assert "adder cells full, half\n" in run("show", "sky130hd").stdout
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
