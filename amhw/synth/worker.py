"""The process that runs Yosys. Started by `amhw.synth.pool` as a script; it imports nothing of amhw.

It loads pyosys once and then, for each job (one JSON line on standard input), forks: the child does the
design and dies with it. So no design sees what an earlier one left in Yosys' global state (names handed out
before change ABC's result), memory does not grow, and a crash, an exit or a hang costs that one design.
What the child prints, Yosys, ABC and C library alike, goes to files in the job's folder. The reply is one
JSON line:

    {"mapped": [{"recipe": …, "seconds": …} or {"died": …} or {"failed": …}], "top": …, "version": …}
    {"refusal": "…"}         the design cannot be used
    {"failed": "…"}          an error in the child
    {"died": STATUS}         the child ended without an answer; its logs say why
    {"timeout": SECONDS}

When standard input ends, the worker kills what is running and leaves.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any


class UnusableError(Exception):
    """The design cannot be synthesised; the message says why in one line."""


def serve() -> None:
    """Answer jobs until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    jobs = _Lines(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides; it closes our standard input
    from pyosys import libyosys

    while (line := jobs.next()) is not None:
        job = json.loads(line)
        replies.write(json.dumps(_in_child(libyosys, job, jobs)) + "\n")


class _Lines:
    """Lines of a file descriptor, without a buffer that `select` cannot see into."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self._pending = descriptor, b""

    def next(self) -> bytes | None:
        """The next line, or None at the end."""
        while b"\n" not in self._pending:
            piece = os.read(self.descriptor, 1 << 16)
            if not piece:
                return None
            self._pending += piece
        line, self._pending = self._pending.split(b"\n", 1)
        return line


def _in_child(yosys: Any, job: dict[str, Any], jobs: _Lines) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)  # with the ABC it starts, so that both can be killed together
        os.close(reading)
        _child(yosys, job, writing)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    os.close(writing)
    answer = b""
    deadline = time.monotonic() + job["timeout"]
    try:
        while True:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([reading, jobs.descriptor], [], [], max(0.0, left))
            if jobs.descriptor in ready:  # only its end can arrive while a job is running
                os.killpg(child, signal.SIGKILL)
                sys.exit(0)
            if not ready:
                return {"timeout": job["timeout"]}
            piece = os.read(reading, 1 << 16)
            if not piece:
                break
            answer += piece
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child, signal.SIGKILL)
        os.close(reading)
        _, status = os.waitpid(child, 0)
    try:
        reply = json.loads(answer)
    except ValueError:
        reply = {"died": os.waitstatus_to_exitcode(status)}
    return dict(reply)


def _child(yosys: Any, job: dict[str, Any], writing: int) -> None:
    status = 1
    try:
        os.chdir(job["folder"])
        os.environ["TMPDIR"] = job["scratch"]  # ABC's files and Yosys' cache of libraries
        try:
            reply = synthesise(yosys, job)
        except UnusableError as error:
            reply = {"refusal": str(error)}
        except Exception as error:
            reply = {"failed": f"{type(error).__name__}: {error}"}
        data = json.dumps(reply).encode()
        while data:
            data = data[os.write(writing, data) :]
        status = 0
    finally:
        os._exit(status)


def synthesise(yosys: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Read design.v in the current folder, check it, and map it once for each recipe."""
    _log_to("read.log")
    design = yosys.Design()

    def run(command: str) -> None:
        yosys.run_pass(command, design)

    run("read_verilog -sv -Iinclude design.v")
    top = job["top"] or only_top(_instances(design))
    if top not in _instances(design):
        known = ", ".join(sorted(_instances(design))) or "none"
        raise UnusableError(f"no module {top} in this Verilog; its modules: {known}")
    job["top"] = top
    run(f"hierarchy -check -top {top}")
    run("proc")
    run("flatten")
    run("opt_clean")
    latches = [
        _signal(cell) for cell in _cells(design) if re.match(r"\$_?(ad|d)?latch|\$_?sr(_|$)", _plain(cell.type), re.I)
    ]
    if latches:
        raise UnusableError(f"latch for {', '.join(latches[:4])} (in {top}); assign it on every path")
    boxes = sorted(kind for kind in _types(design) if not kind.startswith("$"))
    if boxes:
        raise UnusableError(f"{top} contains black boxes: {', '.join(boxes[:4])}; give their Verilog too")
    run("tee -q -o check.txt check")
    _refuse(top, driver_problem(Path("check.txt").read_text()))
    run(f"synth -noabc -top {top}")
    run("tee -q -o check.txt check")  # on gates, where no word hides which bit depends on which
    _refuse(top, loop_problem(Path("check.txt").read_text()))
    _log_to("registers.log")
    run(f"dfflibmap -liberty {job['liberty']}")
    run("opt_clean -purge")
    if job["prove"]:
        _apart(partial(_write_cut, yosys, run, design, job, "reference.blif"))
    outcomes = []
    for index in range(len(job["recipes"])):
        reply = Path(f"mapped{index}.reply")
        status = _apart(partial(_map, yosys, run, design, job, index), failure=reply)
        outcomes.append(json.loads(reply.read_text()) if reply.exists() else {"died": status})
    return {
        "mapped": outcomes,
        "top": top,
        "version": re.sub(r",.*\)", ")", str(yosys.yosys_maybe_version())),  # without the compiler's
    }


def _apart(action: Callable[[], None], failure: Path | None = None) -> int:
    """Do `action` in a process of its own and return how it ended.

    What it does to Yosys' state (the names handed out change ABC's result), or to Yosys, is its own affair. An
    exception is written to `failure`.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except Exception as error:
            if failure is not None:
                failure.write_text(json.dumps({"failed": f"{type(error).__name__}: {error}"}))
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _map(yosys: Any, run: Any, design: Any, job: dict[str, Any], index: int) -> None:
    """Map the design by one recipe; leaves mapped{index}.json, .v and, last, .reply."""
    recipe = job["recipes"][index]
    started = time.monotonic()
    _log_to(f"map{index}.log")
    script = Path(f"recipe{index}.abc")
    script.write_text(recipe["script"])
    if recipe["adders"]:
        run("extract_fa -fa")
        run(f"techmap -map {job['adders']}")
        run("opt_clean -purge")
    run(f"abc -liberty {job['liberty']} -constr {job['constraints']} -script {script}")
    run("opt_clean -purge")
    run(f"write_json mapped{index}.json")
    if job["netlists"]:
        run("splitnets")  # and -simple-lhs: no concatenations, which OpenSTA's reader of netlists does not know
        run(f"write_verilog -noattr -simple-lhs mapped{index}.v")
    reply = {"recipe": recipe["name"], "seconds": time.monotonic() - started}
    if job["prove"]:
        reply["equivalent"] = _proved(yosys, run, design, job, index)
    Path(f"mapped{index}.reply").write_text(json.dumps(reply))


# Proof: both sides become and-inverter graphs with the registers cut out (their inputs are outputs and their
# outputs inputs, under the names that both sides share), and ABC proves them equal.


def _write_cut(yosys: Any, run: Any, design: Any, job: dict[str, Any], name: str) -> None:
    run(f"read_liberty -ignore_miss_func {job['liberty']}")
    if job["registers"]:
        run(f"setattr -mod -set keep_hierarchy 1 {' '.join(job['registers'])}")
    run("flatten")
    _cut_registers(yosys, design, job)
    for module in [_plain(module.name) for module in design.modules_.values()]:
        if module != job["top"]:
            run(f"delete {module}")
    run(f"aigmap {job['top']}")
    run("opt_clean")
    run(f"write_blif {name}")


def _cut_registers(yosys: Any, design: Any, job: dict[str, Any]) -> None:
    """Replace every register by ports, named after it: its outputs become inputs and its inputs outputs."""
    modules = {_plain(module.name): module for module in design.modules_.values()}
    top = modules[job["top"]]
    outputs = {
        (name, _plain(wire.name))
        for name in modules.keys() & set(job["registers"])
        for wire in modules[name].wires_.values()
        if wire.port_output
    }
    for cell in [cell for cell in top.cells_.values() if _plain(cell.type) in job["registers"]]:
        for pin, net in cell.connections_.items():
            port = top.addWire(yosys.IdString(f"\\{_plain(cell.name)}.{_plain(pin)}"), 1)
            driven = (_plain(cell.type), _plain(pin)) in outputs
            port.port_input, port.port_output = driven, not driven
            top.connect(net, yosys.SigSpec(port)) if driven else top.connect(yosys.SigSpec(port), net)
        top.remove(cell)
    top.fixup_ports()


def _proved(yosys: Any, run: Any, design: Any, job: dict[str, Any], index: int) -> bool:
    _write_cut(yosys, run, design, job, f"mapped{index}.blif")
    import pyosys

    abc = Path(pyosys.__file__).with_name("yosys-abc")
    proof = subprocess.run(
        [abc, "-q", f"cec reference.blif mapped{index}.blif"], capture_output=True, text=True, check=False
    )
    Path(f"proof{index}.log").write_text(proof.stdout + proof.stderr)
    if "Networks are equivalent" in proof.stdout:
        return True
    if "NOT EQUIVALENT" in proof.stdout:
        return False
    raise RuntimeError(f"ABC could not decide whether it is equivalent: {proof.stdout[-300:]}")


def only_top(instances: dict[str, set[str]]) -> str:
    """The one module that no other instantiates.

    >>> only_top({"adder": {"cell"}, "cell": set()})
    'adder'
    """
    inside = set().union(*instances.values()) if instances else set()
    tops = sorted(set(instances) - inside)
    if len(tops) == 1:
        return tops[0]
    if not instances:
        raise UnusableError("no module with contents in this Verilog")
    if not tops:
        raise UnusableError(f"no top in this Verilog: {', '.join(sorted(instances))} instantiate one another")
    raise UnusableError(f"several possible tops: {', '.join(tops)}; choose one with --top")


def driver_problem(check: str) -> str | None:
    """The first undriven or multiply-driven net in the report of Yosys' `check`, or None.

    >>> driver_problem("Warning: Wire top.w [3] is used but has no driver.")
    'undriven net: w [3] is used and has no driver'
    """
    drivers = re.search(r"^Warning: multiple conflicting drivers for [^.]+\.\\?(.+):$", check, re.M)
    if drivers:
        return f"multiply-driven net: {drivers[1]} has several drivers"
    undriven = re.search(r"^Warning: Wire [^.]+\.\\?(.+) is used but has no driver", check, re.M)
    if undriven:
        return f"undriven net: {undriven[1]} is used and has no driver"
    return None


def loop_problem(check: str) -> str | None:
    """The first combinational loop in the report of Yosys' `check`, by its named wires, or None.

    >>> loop_problem("Warning: found logic loop in module top:\\n    wire \\\\l2 source: f.v:2.9-2.11\\n")
    'combinational loop through l2'
    """
    loop = re.search(r"^Warning: found logic loop in module (.+?):$((?:\n .*)*)", check, re.M)
    if loop is None:
        return None
    wires = re.findall(r"^ +wire \\?(\S+)", loop[2], re.M)
    return f"combinational loop through {', '.join(dict.fromkeys(wires)) or loop[1]}"


def _refuse(top: str, problem: str | None) -> None:
    if problem:
        raise UnusableError(f"{problem} (in {top})")


def _cells(design: Any) -> list[Any]:
    """The cells of the flattened design."""
    modules = (module for module in design.modules_.values() if not _is_box(module))
    return [cell for module in modules for cell in module.cells_.values()]


def _types(design: Any) -> Counter[str]:
    return Counter(_plain(cell.type) for cell in _cells(design))


def _signal(cell: Any) -> str:
    """The signal that the cell drives at Q."""
    for port, bits in cell.connections_.items():
        if _plain(port) == "Q" and bits.is_wire():
            return _plain(bits.as_wire().name)
    return _plain(cell.name)


def _instances(design: Any) -> dict[str, set[str]]:
    """For each module, the modules it instantiates."""
    modules = {_plain(m.name): m for m in design.modules_.values() if not _is_box(m)}
    names = {re.sub(r"^\$abstract\\", "", name): module for name, module in modules.items()}
    return {name: {_plain(cell.type) for cell in module.cells_.values()} & set(names) for name, module in names.items()}


def _is_box(module: Any) -> bool:
    return bool({"\\blackbox", "\\whitebox"} & {str(key) for key in module.attributes})


def _plain(name: Any) -> str:
    return str(name).removeprefix("\\")


def _log_to(name: str) -> None:
    """From here on everything this process and its children print goes to the file `name`."""
    sys.stdout.flush()
    log = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


if __name__ == "__main__":
    serve()
