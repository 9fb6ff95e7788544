"""One command line: a thing has the same name, type and help text in every command, and old spellings still work."""

import hashlib
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from amhw.cli import COMMANDS, main
from amhw.commands import progress as progress_module
from amhw.commands.progress import progress
from amhw.files import use_writable_cache_folder
from amhw.network.training import EPOCHS
from amhw.nn import TrainingRecipe
from amhw.table import ProductTable
from amhw.verilog import Design

FIELD = Path(__file__).parent / "data" / "field"
SELECTION = Path(__file__).parent / "data" / "select-front.json"

MASK = "mul_u8s8_pp_0_0_0_0_0_c0_e0_e0"

SLOW = ("torch", "matplotlib", "altair", "pymoo", "pyosys", "scipy", "pyarrow", "cocotb", "onnx")
"""Packages that a help text does not wait for."""


def every_command():
    """Name and command; those of a group one by one."""
    for name, (module, _) in COMMANDS.items():
        command = import_module(module).command
        if isinstance(command, click.Group):
            yield from ((f"{name} {part}", each) for part, each in command.commands.items())
        else:
            yield name, command


EVERY = dict(every_command())

OF_A_MULTIPLIER = [name for name, command in EVERY.items() if any(param.name == "first" for param in command.params)]

OLD = [(name, option) for name, command in EVERY.items() for option in command.params if getattr(option, "old", ())]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(*arguments):
    """The one line with which the command refuses."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), (arguments, result.output)
    return result.stderr


# Uniformity


def test_an_option_is_the_same_everywhere():
    told = defaultdict(lambda: defaultdict(list))
    for name, command in EVERY.items():
        for option in command.params:
            if isinstance(option, click.Option):
                if (name, option.opts[0]) == ("export-network", "--format"):
                    continue  # of a network, not of a table
                about = (option.help, json.dumps(option.type.to_info_dict(), sort_keys=True), option.is_flag)
                told[option.opts[0]][about].append(name)
    different = {option: dict(ways) for option, ways in told.items() if len(ways) > 1}
    assert not different


@pytest.mark.parametrize("name", EVERY)
def test_every_command_prints_json_on_request(name):
    assert any("--json" in param.opts for param in EVERY[name].params)


@pytest.mark.parametrize("name", EVERY)
def test_every_option_says_what_it_is(name):
    assert all(param.help for param in EVERY[name].params if isinstance(param, click.Option))


def test_the_commands_of_a_multiplier():
    assert set(OF_A_MULTIPLIER) == {
        *("gen", "show", "errors", "import", "export", "sim", "array", "synth", "energy", "accuracy", "faults", "train")
    }


# Help


@pytest.mark.parametrize("name", EVERY)
def test_examples_can_be_pasted(name):
    printed = run(*name.split(), "--help").stdout.splitlines()
    (line,) = [line.strip() for line in printed if line.strip().startswith("Example: ")]
    program, *arguments = shlex.split(line.removeprefix("Example: "))
    assert program == "amhw" and arguments[: len(name.split())] == name.split()
    EVERY[name].make_context(name, arguments[len(name.split()) :])


def test_help_waits_for_no_slow_package():
    script = f"""
import sys
from amhw.cli import main
for arguments in {[[], *(name.split() for name in EVERY)]}:
    main([*arguments, "--help"], standalone_mode=False)
    loaded = [package for package in {SLOW} if package in sys.modules]
    assert not loaded, (arguments, loaded)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_defaults_that_a_help_text_states_are_the_defaults():
    """Which it cannot look up: that would load torch."""
    (epochs,) = [param for param in EVERY["train"].params if param.name == "epochs"]
    assert f"[default: {EPOCHS}; fine-tuning: {TrainingRecipe.epochs}]" in epochs.help


# Old spellings


@pytest.mark.parametrize(("name", "option"), OLD, ids=lambda value: getattr(value, "name", value))
def test_old_spellings_mean_the_same_and_are_not_shown(name, option):
    command = EVERY[name]
    value = {"layers": "conv1"}.get(option.name, "some.file")
    others = {"train": ["--out", "x"], "import": ["x.v"], "import-network": ["x.onnx", "--out", "x"]}.get(name, [])
    contexts = [
        command.make_context(name, [*others, spelling, *([] if option.is_flag else [value])]).params
        for spelling in (option.opts[0], *option.old)
    ]
    assert all(params == contexts[0] for params in contexts[1:])
    shown = run(*name.split(), "--help").stdout
    assert option.opts[0] in shown
    for old in option.old:
        assert not re.search(rf"{old}\b(?!-)", shown), old


def test_which_spellings_are_old():
    assert {(old, option.opts[0]) for _, option in OLD for old in option.old} == {
        ("--search", "--quick"),
        ("--layer", "--layers"),
        ("--data-dir", "--data"),
        ("--liberty", "--tech"),
        ("--table", "--multiplier"),
        ("--operands", "--distribution"),
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("synth", "m.v", "--tech", "sg13g2", "--tech", "sky130hd"),
        ("synth", "m.v", "--tech", "sg13g2", "--liberty", "x.lib"),
        ("synth", "m.v", "--flat", "--hierarchical"),
        ("errors", MASK, "--layers", "conv1", "--layer=conv2"),
    ],
)
def test_one_value_once(arguments):
    said = refused(*arguments)
    assert "given 2 times; say it once" in said
    given = {word.split("=")[0] for word in arguments if word.startswith("--")}
    assert all(option in said for option in given)


def test_a_flag_may_be_repeated():
    assert run("families", "--json", "--json").exit_code == 0


# A multiplier


@pytest.mark.parametrize("name", OF_A_MULTIPLIER)
def test_a_multiplier_is_the_first_argument_or_an_option(name, tmp_path):
    others = {"export": ["--format", "npy"], "train": ["--out", tmp_path / "n.npz"]}.get(name, [])
    first, option = (refused(name, *given, *others) for given in (["mul_nobody"], ["--multiplier", "mul_nobody"]))
    # A name is made here already: there is nothing to import.
    why = "mul_nobody is neither Verilog" if name == "import" else "'mul_nobody' is no multiplier's name"
    assert first == option and why in first
    assert "give one multiplier" in refused(name, MASK, "--multiplier", MASK, *others)
    if name not in ("gen", "train", "faults"):  # which make one, or do without
        given = "a FILE" if name == "import" else "NAME|FILE"
        assert f"which multiplier? give {given}" in refused(name, *others)


@pytest.mark.parametrize("name", ["gen", "show", "sim", "array", "synth", "energy"])
def test_a_table_is_no_circuit(name, tmp_path):
    np.save(tmp_path / "t.npy", ProductTable.of(Design.parse("mul_u4u4_pp_full").multiplier).products)
    assert "t.npy is a table, no circuit" in refused(name, tmp_path / "t.npy")
    (imported,) = [
        line for line in run("import", tmp_path / "t.npy", "--signed", "none", "--out", tmp_path).stdout.splitlines()
        if line.endswith(".json")
    ]  # fmt: skip
    expected = {"gen": "made here", "show": "made here", "array": "made here"}.get(name, "no Verilog")
    assert expected in refused(name, imported)


@pytest.mark.parametrize("suffix", ["", ".v", ".json"])
def test_names_and_files_of_ours_stand_for_the_same_multiplier(tmp_path, suffix):
    name = "mul_u3s3_pp_full__wallace__ripple"
    verilog, _ = Design.parse(name).write(tmp_path)
    given = f"{tmp_path / name}{suffix}" if suffix else name
    assert run("gen", given, "--out", tmp_path / "again").exit_code == 0
    assert (tmp_path / "again" / verilog.name).read_bytes() == verilog.read_bytes()
    assert json.loads(run("show", given, "--json").stdout)["name"] == name
    assert run("sim", given).stdout == "64/64 products match\n"
    record = json.loads(run("synth", given, "--quick", "--json").stdout)
    assert (record["top"], record["verified"]) == (name, "64 products")
    assert record["verilog_sha256"] == hashlib.sha256(verilog.read_bytes()).hexdigest()


def test_verilog_from_elsewhere_has_no_diagram(tmp_path):
    (tmp_path / "m.v").write_text("module m(input [1:0] a, b, output [3:0] p); assign p = a * b; endmodule")
    for name in ("gen", "show", "array"):
        assert "m.v is Verilog from elsewhere" in refused(name, tmp_path / "m.v")


# What has no effect


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("gen", MASK, "--signed", "none"), "leave out --signed: "),
        (("gen", MASK, "--pp-mask", "full", "--width", "8"), "leave out --width, --pp-mask: "),
        (("gen", MASK, "--show", "--out", "x"), "leave out --out: --show writes nothing"),
        (("errors", MASK, "--network", "x.npz"), "leave out --network: "),
        (("errors", MASK, "--data", "x"), "leave out --data: "),
        (("errors", MASK, "--order", "ab"), "are for tables and Verilog"),
        (("synth", MASK, "--no-dsp"), "leave out --no-dsp: "),
        (("synth", MASK, "--fpga", "ice40", "--tech", "sky130hd", "--flat"), "leave out --tech, --hierarchical: "),
        (("energy", MASK, "--hold", "a=1"), "leave out --hold: that is for Verilog files"),
        (("train", "--out", "x.npz", "--layers", "conv1"), "leave out --layers: that is for fine-tuning"),
        (("train", "--out", "x.npz", "--signed", "b"), "which multiplier?"),
        (("train", MASK, "--out", "x.npz", "--model", "lenet5"), "leave out --model: "),
        (("import", "t.npy", "--signed", "none", "--tech", "sg13g2"), "leave out --tech: "),
        (("array", MASK, "--matmul", "4,4,4", "--network", "x.npz"), "--network or --matmul"),
    ],
)
def test_options_without_effect_are_refused(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in refused(*arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("study", "--out"),
        ("select", "--out"),
        ("train", MASK, "--out"),
        ("train", MASK, "--out", "net.npz", "--checkpoint"),
        ("synth", MASK, "--netlist"),
        ("errors", MASK, "--heat-map"),
        ("report", str(SELECTION), "--out"),
        ("import", str(FIELD / "bom.v"), "--out"),
        ("study", "--results"),
        ("select", "--results"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_written_is_refused_before_the_work(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    for module in ("amhw.nn.runs.fine_tuned", "amhw.synth.pool.Synthesiser.submit", "amhw.report.charts.still"):
        monkeypatch.setattr(module, lambda *given, **named: pytest.fail("it began to work"))
    assert "file is no folder" in refused(*arguments, tmp_path / "file" / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_read_is_not_overwritten(tmp_path):
    peers, network = tmp_path / "report.csv", tmp_path / "net.npz"
    peers.write_text("name,area_um2,delay_ps,loss\nx,1,1,1\n")
    network.write_text("a network")
    for path, arguments in (
        (peers, ("report", SELECTION, "--peers", peers, "--out", tmp_path)),
        (network, ("train", MASK, "--network", network, "--out", network)),
    ):
        before = path.read_bytes()
        assert "would be overwritten" in refused(*arguments)
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("select", "--max-loss", "1e400"), "--max-loss inf is no demand"),
        (("select", "--max-area-ratio", "inf"), "--max-area-ratio inf is no demand"),
        (("select", "--max-loss", "nan"), "--max-loss nan is no demand"),
        (("sim", MASK, "--seed", str(1 << 70)), "is not in the range"),
        (("array", MASK, "--matmul", "9,9,9", "--rows", "60000", "--cols", "60000"), "3600000000 multipliers"),
    ],
    ids=str,
)
def test_numbers_beyond_reason_are_refused_at_once(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert says in refused(*arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("--kept", "65"), ("--workers", "0")], ids=" ".join)
def test_a_refused_selection_leaves_nothing(arguments, tmp_path):
    refused("select", *arguments, "--out", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_path_with_a_quote(tmp_path):
    folder = tmp_path / 'a "b" $c'
    command = ["gen", "mul_u2u2_pp_full", "--out", str(folder)]
    assert CliRunner().invoke(main, command).exit_code == 0
    for arguments in (["sim"], ["synth", "--quick"], ["errors"]):
        result = CliRunner().invoke(main, [*arguments, str(folder / "mul_u2u2_pp_full.v")])
        assert result.exit_code == 0, result.stderr


def test_a_netlist_does_not_overwrite_its_verilog(tmp_path):
    verilog, _ = Design.parse("mul_u2u2_pp_full").write(tmp_path)
    before = verilog.read_bytes()
    assert "would be overwritten" in refused("synth", verilog, "--netlist", verilog)
    assert verilog.read_bytes() == before


# What a command says at its end, and meanwhile


def test_commands_name_what_they_wrote(tmp_path):
    name = "mul_u8s8_pp_0_0_0_0_0_0_0_80"
    small = ("--rows", 25, "--cols", 1, "--out", tmp_path)
    for arguments in (
        ("gen", name, "--out", tmp_path),
        ("show", name, "--svg", tmp_path / "dots.svg"),
        ("errors", name, "--heat-map", tmp_path / "map.png"),
        ("export", name, "--format", "npy", "--out", tmp_path),
        ("synth", name, "--quick", "--netlist", tmp_path / "gates.v"),
        ("array", name, "--name", "engine", *small),
    ):
        before = set(tmp_path.iterdir())
        printed = run(*arguments).stdout.splitlines()
        new = {str(path) for path in set(tmp_path.iterdir()) - before}
        assert new and new == set(printed[-len(new) :]), arguments


def on_terminal(*arguments):
    """Standard output, and what a terminal shows of standard error."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "amhw", *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 1 << 16):
                shown += part
        except OSError:
            pass  # a terminal ends so
        printed = process.stdout.read()
    os.close(ours)
    return printed, shown.decode()


def test_what_comes_next_is_said_on_a_terminal_only(tmp_path):
    printed, shown = on_terminal("gen", "mul_u2u2_pp_full", "--out", tmp_path)
    assert printed.splitlines() == [str(tmp_path / f"mul_u2u2_pp_full{suffix}") for suffix in (".v", ".json")]
    assert shown.splitlines() == [f"next: amhw sim {tmp_path / 'mul_u2u2_pp_full.json'}"]
    assert run("gen", "mul_u2u2_pp_full", "--out", tmp_path).stderr == ""
    assert "next:" not in on_terminal("gen", "mul_u2u2_pp_full", "--out", tmp_path, "--json")[1]
    printed, shown = on_terminal("synth", tmp_path / "mul_u2u2_pp_full.v", "--quick")
    assert "next:" not in printed and "synthesising mul_u2u2_pp_full" in shown
    assert f"next: amhw errors {tmp_path / 'mul_u2u2_pp_full.v'}" in shown


def test_progress_is_a_plain_line_now_and_then_without_a_terminal(monkeypatch):
    monkeypatch.setattr(progress_module, "SECONDS", 0.01)

    @click.command()
    def command():
        with progress("looking", 8) as work:
            work.advance(3)
            work.note("a line that stays")
            while "looking, 3/8" not in sys.stderr.buffer.getvalue().decode():
                pass
            work.update("looking again", 5)
            while "looking again, 5/8" not in sys.stderr.buffer.getvalue().decode():
                pass

    result = CliRunner().invoke(command)
    assert result.exit_code == 0 and result.stdout == ""
    lines = result.stderr.splitlines()
    assert "a line that stays" in lines
    told = re.compile(r"looking, [03]/8, \d+ s|looking again, 5/8, \d+ s|a line that stays")
    assert all(told.fullmatch(line) for line in lines), lines


def test_short_work_says_nothing_without_a_terminal():
    @click.command()
    def command():
        with progress("looking"):
            pass

    assert CliRunner().invoke(command).output == ""


@pytest.mark.parametrize("home", ["/proc/nowhere", None], ids=["read-only", "unknown user"])
def test_where_the_home_folder_cannot_be_written_commands_run_all_the_same(tmp_path, home):
    """The tools that a command starts keep caches; theirs are for the user alone."""
    without = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    environment = {**without, "TMPDIR": str(tmp_path), **({} if home is None else {"HOME": home})}
    script = "import os, sys; from amhw.cli import main; main(sys.argv[1:])"
    if home is None:  # nobody of this number is in /etc/passwd
        script = script.replace("; from", "; os.getuid = lambda: 54321; from")
    command = [sys.executable, "-c", script, "gen", "mul_u2u2_pp_full", "--out", str(tmp_path / "out")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out" / "mul_u2u2_pp_full.v").is_file()
    if home is not None:
        caches = tmp_path / f"amhw-cache-{os.getuid()}"
        assert caches.stat().st_mode & 0o777 == 0o700 and any(caches.rglob("*"))


def test_a_cache_that_somebody_else_may_write_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("MPLCONFIGDIR", "")
    (tmp_path / f"amhw-cache-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"amhw-cache-{os.getuid()}").chmod(0o777)
    use_writable_cache_folder()
    chosen = Path(os.environ["XDG_CACHE_HOME"])
    assert chosen.parent == tmp_path and chosen.name != f"amhw-cache-{os.getuid()}"
    assert chosen.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_a_line():
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "amhw.gen", MASK, "--show"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (run.returncode, run.stderr) == (
        2,
        "amhw: error: no space left for what is written; finished results are kept\n",
    )


def test_a_killed_command_leaves_no_temporary_files_for_long(tmp_path):
    """Its folder goes with the next command; that of one that is running stays."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    program = (
        "import tempfile, time; from amhw.files import use_temporary_folder; use_temporary_folder(); "
        "open(tempfile.mkdtemp() + '/large', 'w').write('x' * 100000); print('ready', flush=True); time.sleep(100)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == b"ready\n"
        processes[0].kill()
        processes[0].wait()
        assert len(list(tmp_path.glob("amhw-run-*"))) == 2
        subprocess.run([sys.executable, "-m", "amhw.gen", MASK, "--show"], env=environment, check=True)
        [left] = tmp_path.iterdir()
        assert next(left.rglob("large")).stat().st_size == 100000
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
