"""The process that runs Yosys. Started by `amhw.synth.pool` as a script; of amhw it has `hdl/reading.py` alone.

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
import importlib.util
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any


def _beside(name: str) -> Any:
    """A module of another folder by its path, as a script that does not import its package has it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "hdl" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reading = _beside("reading")


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
        reading.limit_memory(job["memory"])
        try:
            reply = synthesise(yosys, job)
        except UnusableError as error:
            reply = {"refusal": str(error)}
        except MemoryError:
            reply = {"refusal": reading.too_large(job["memory"])}
        except Exception as error:
            reply = {"failed": f"{type(error).__name__}: {error}"}
        data = json.dumps(reply).encode()
        while data:
            data = data[os.write(writing, data) :]
        status = 0
    finally:
        os._exit(status)


_NOT_HARDWARE = ("$print", "$check", "$assert", "$assume", "$cover", "$live", "$fair")
"""What $display and assertions become."""


def synthesise(yosys: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Read design.v in the current folder, check it, and map it once for each recipe."""
    reading.log_to("read.log")
    design = yosys.Design()

    def run(command: str) -> None:
        yosys.run_pass(command, design)

    top = job["top"] = in_gates(
        yosys, design, run, job["top"], job["hierarchical"], job["dialects"], job["own"], *job["reading"]
    )
    registers = [cell for cell in _cells(design) if re.match(r"\$_?.*ff", _plain(cell.type), re.I)]
    if registers and not job["registers"]:
        names = ", ".join(dict.fromkeys(_signal(cell) for cell in registers[:4]))
        raise UnusableError(f"registers ({names}) in {top}, and the library has no flip-flops")
    Path("registers.json").write_text(
        json.dumps({_plain(cell.name): _signal(cell) for cell in registers}), encoding="utf-8"
    )
    reading.log_to("registers.log")
    falling = any(re.match(r"\$_[A-Z]*FF[A-Z]*_N", _plain(cell.type)) for cell in registers)
    run(f"dfflibmap -liberty {job['liberty']}")
    if falling:  # each of them has got an inverter for its clock
        run("opt_merge")
    run("opt_clean -purge")
    if not any(_plain(cell.type) in {*job["registers"], "$mem_v2"} for cell in _cells(design)):
        job["buffer"] = []
    if job["prove"]:
        for number, module in enumerate(_modules(design)):
            _apart(partial(_write_cut, yosys, run, design, job, module, f"reference{number}.blif"))
    outcomes = []
    for index in range(len(job["recipes"])):
        reply = Path(f"mapped{index}.reply")
        status = _apart(partial(_map, yosys, run, design, job, index), failure=reply)
        outcomes.append(json.loads(reply.read_text(encoding="utf-8")) if reply.exists() else {"died": status})
    return {
        "mapped": outcomes,
        "top": top,
        "version": re.sub(r",.*\)", ")", str(yosys.yosys_maybe_version())),  # without the compiler's
    }


def in_gates(
    yosys: Any,
    design: Any,
    run: Callable[[str], None],
    top: str | None,
    hierarchical: bool,
    dialects: Sequence[str],
    own: Collection[str] = (),
    seconds: int = reading.LONGEST_S,
    memory: int = reading.MOST_MEMORY,
) -> str:
    """Read design.v in the current folder, check it and turn it into Yosys' gates; the name of its top.

    `seconds` of processor time and `memory` bytes are for reading.

    Raises:
        UnusableError: it cannot be synthesised.
    """
    try:
        _, top = reading.read(yosys, design, "design.v", dialects, top, own, None, seconds, memory)
    except reading.UnreadableError as error:
        raise UnusableError(str(error)) from None
    _refuse(top, both_ways(design))
    run(f"delete {' '.join(f't:{kind}' for kind in _NOT_HARDWARE)}")
    if not hierarchical:
        run("flatten")
    run("opt_clean")
    run("tribuf")  # nothing happens where nobody drives a z
    _refuse(top, three_state(design))
    latches = [
        _signal(cell) for cell in _cells(design) if re.match(r"\$_?(ad|d)?latch|\$_?sr(_|$)", _plain(cell.type), re.I)
    ]
    if latches:
        raise UnusableError(f"latch for {', '.join(latches[:4])} (in {top}); assign it on every path")
    within = _modules(design)
    boxes = sorted(kind for kind in _types(design) if not kind.startswith("$") and kind not in within)
    if boxes:
        raise UnusableError(f"{top} contains black boxes: {', '.join(boxes[:4])}; give their Verilog too")
    run("tee -q -o check.txt check")
    _refuse(top, driver_problem(Path("check.txt").read_text(encoding="utf-8")))
    run(f"synth -noabc -run begin:fine -top {top}")
    if _keep_memories(yosys, design):  # what `synth` does next, but for the memories
        for command in ("opt -fast -full", "memory_map -attr !kept_memory", "opt -full", "techmap", "opt -fast"):
            run(command)
    else:
        run("synth -noabc -run fine:")
    run("tee -q -o check.txt check")  # on gates, where no word hides which bit depends on which
    _refuse(top, loop_problem(Path("check.txt").read_text(encoding="utf-8")))
    return top


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
                failure.write_text(json.dumps({"failed": f"{type(error).__name__}: {error}"}), encoding="utf-8")
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _map(yosys: Any, run: Any, design: Any, job: dict[str, Any], index: int) -> None:
    """Map the design by one recipe; leaves mapped{index}.json, .v and, last, .reply."""
    recipe = job["recipes"][index]
    started = time.monotonic()
    reading.log_to(f"map{index}.log")
    script = Path(f"recipe{index}.abc")
    script.write_text(recipe["script"], encoding="utf-8")
    for kind in recipe["adders"]:  # one kind after the other: the gates inside full adders must be gone first
        run(f"extract_fa {'-fa' if kind == 'full' else '-ha'}")
        # Adders are found also where nothing reads them. Once they are a library's cells, Yosys does not know which of
        # their pins are outputs and keeps them all.
        run("opt_clean -purge")
        run(f"techmap -map {job['adders']} t:$fa")
        run("opt_clean -purge")
    run(f"abc -liberty {job['liberty']} -constr {job['constraints']} -script {script}")
    run("opt_clean -purge")
    run(f"write_json mapped{index}.json")
    if job["buffer"] and _buffer(Path(f"mapped{index}.json"), job) and (job["netlists"] or job["prove"]):
        run("design -reset")
        run(f"read_json mapped{index}.json")
    if job["netlists"]:
        run("splitnets")  # and -simple-lhs: no concatenations, which OpenSTA's reader of netlists does not know
        run(f"write_verilog -noattr -simple-lhs mapped{index}.v")
    reply = {"recipe": recipe["name"], "seconds": time.monotonic() - started}
    if job["prove"]:
        reply["equivalent"] = all(
            _proved(yosys, run, design, job, index, number, module) for number, module in enumerate(_modules(design))
        )
    Path(f"mapped{index}.reply").write_text(json.dumps(reply), encoding="utf-8")


# Memories that are written and are read with a clock stay what they are; their bits are counted and nothing else. One
# that is read without a clock becomes registers, and a table of constants becomes gates.


def _keep_memories(yosys: Any, design: Any) -> int:
    """Mark the memories that stay; how many there are."""
    kept = [
        cell
        for cell in _cells(design)
        if _plain(cell.type) == "$mem_v2"
        and cell.getParam(yosys.IdString("\\RD_CLK_ENABLE")).is_fully_ones()
        and cell.getParam(yosys.IdString("\\WR_PORTS")).as_int() > 0
    ]
    for cell in kept:
        cell.set_bool_attribute(yosys.IdString("\\kept_memory"), True)
    return len(kept)


# Buffers: no recipe's ABC sees a broadcast that crosses modules, and none splits a net with hundreds of readers. A
# designer's tool does, so nets of designs with registers get a tree of buffers. Clocks are left alone.


def _buffer(path: Path, job: dict[str, Any]) -> bool:
    """Buffer the nets of the mapped design in `path`; whether there was anything to do."""
    written = json.loads(path.read_text(encoding="utf-8"))
    boxes = {"blackbox", "whitebox"}
    modules = {name: module for name, module in written["modules"].items() if not boxes & set(module["attributes"])}
    added = buffered(modules, job["inputs"], job["clocks"], job["buffer"], job["fanout"])
    if added:
        path.write_text(json.dumps(written), encoding="utf-8")
    return added > 0


def buffered(
    modules: dict[str, Any],
    inputs: dict[str, list[str]],
    clocks: dict[str, list[str]],
    buffer: list[str],
    most: int,
) -> int:
    """Give every net of `modules` (as Yosys' `write_json` has them) at most `most` readers; how many buffers that took.

    What a port of a module drives inside counts for the net outside, and a memory's pin for four readers. `inputs`
    and `clocks` are the input pins of each cell of the library, `buffer` a cell of it with its input and output.
    """
    weights: dict[str, dict[tuple[str, int], int]] = {}  # of each module's input ports, bit by bit; -1 for a clock
    added = 0
    for name in _bottom_up(modules):
        module = modules[name]
        readers: dict[int, list[tuple[int, list[Any], int]]] = {}
        clocked: set[int] = set()
        for cell in module["cells"].values():
            kind = cell["type"]
            for pin, bits in cell["connections"].items():
                if kind in inputs:
                    reads, clock = pin in inputs[kind], pin in clocks[kind]
                elif kind in modules:
                    reads, clock = modules[kind]["ports"][pin]["direction"] == "input", False
                else:
                    reads, clock = cell["port_directions"][pin] == "input", pin in ("RD_CLK", "WR_CLK")
                for k, bit in enumerate(bits):
                    if reads and isinstance(bit, int):
                        weight = weights[kind].get((pin, k), 0) if kind in modules else 1 if kind in inputs else 4
                        if clock or (kind in modules and weight == -1):
                            clocked.add(bit)
                        elif weight:
                            readers.setdefault(bit, []).append((weight, bits, k))
        for port in module["ports"].values():
            for bit in port["bits"] if port["direction"] == "output" else ():
                if isinstance(bit, int):
                    readers.setdefault(bit, []).append((1, [], -1))
        fresh = 1 + max(
            (bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int)), default=1
        )
        for bit in sorted(readers.keys() - clocked):
            while sum(weight for weight, *_ in readers[bit]) > most:
                left = [reader for reader in readers[bit] if reader[2] < 0]
                group: list[tuple[int, list[Any], int]] = []
                groups = [group]
                for reader in readers[bit]:
                    if reader[2] >= 0:
                        if group and sum(weight for weight, *_ in group) + reader[0] > most:
                            groups.append(group := [])
                        group.append(reader)
                if len(groups) + len(left) >= len(readers[bit]):
                    break  # one buffer a reader gains nothing
                for group in groups:
                    for _, bits, k in group:
                        bits[k] = fresh
                    connections = {buffer[1]: [bit], buffer[2]: [fresh]}
                    module["cells"][f"$fanout${added}"] = {
                        "hide_name": 1,
                        "type": buffer[0],
                        "parameters": {},
                        "attributes": {},
                        "port_directions": {buffer[1]: "input", buffer[2]: "output"},
                        "connections": connections,
                    }
                    module["netnames"][f"$fanout$net${fresh}"] = {"hide_name": 1, "bits": [fresh], "attributes": {}}
                    left.append((1, connections[buffer[1]], 0))
                    added, fresh = added + 1, fresh + 1
                readers[bit] = left
        weights[name] = {
            (port, k): -1 if bit in clocked else sum(weight for weight, *_ in readers.get(bit, ()))
            for port, described in module["ports"].items()
            if described["direction"] == "input"
            for k, bit in enumerate(described["bits"])
        }
    return added


def _bottom_up(modules: dict[str, Any]) -> list[str]:
    """The modules, each after those it instantiates."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        for cell in modules[name]["cells"].values():
            if cell["type"] in modules and cell["type"] not in order:
                visit(cell["type"])
        order[name] = None

    for name in modules:
        if name not in order:
            visit(name)
    return list(order)


# Proof, module by module: both sides become and-inverter graphs with registers, memories and instances of other
# modules cut out (their inputs are outputs and their outputs inputs, under the names that both sides share), and
# ABC proves them equal.


def _write_cut(yosys: Any, run: Any, design: Any, job: dict[str, Any], module: str, name: str) -> None:
    others = [other for other in _modules(design) if other != module]
    run(f"read_liberty -ignore_miss_func {job['liberty']}")
    if job["registers"]:
        run(f"setattr -mod -set keep_hierarchy 1 {' '.join(job['registers'])}")
    _cut(yosys, design, job, module, others)
    for other in others:
        run(f"delete {other}")
    run(f"hierarchy -top {module}")
    run("flatten")
    for other in [_plain(other.name) for other in design.modules_.values()]:
        if other != module:
            run(f"delete {other}")
    run(f"aigmap {module}")
    run("opt_clean")
    run(f"write_blif {name}")


def _cut(yosys: Any, design: Any, job: dict[str, Any], module: str, others: list[str]) -> None:
    """Replace registers, memories and instances by ports named after them, their outputs by inputs and vice versa."""
    modules = {_plain(found.name): found for found in design.modules_.values()}
    top = modules[module]
    outputs = {
        (name, _plain(wire.name))
        for name in modules.keys() & {*job["registers"], *others}
        for wire in modules[name].wires_.values()
        if wire.port_output
    }
    cut = {*job["registers"], *others, "$mem_v2"}
    for cell in [cell for cell in top.cells_.values() if _plain(cell.type) in cut]:
        kind = _plain(cell.type)
        for pin, net in cell.connections_.items():
            if not net.size():
                continue
            port = top.addWire(yosys.IdString(f"\\{_plain(cell.name)}.{_plain(pin)}"), net.size())
            driven = (kind, _plain(pin)) in outputs or (kind == "$mem_v2" and _plain(pin) == "RD_DATA")
            port.port_input, port.port_output = driven, not driven
            top.connect(net, yosys.SigSpec(port)) if driven else top.connect(yosys.SigSpec(port), net)
        top.remove(cell)
    top.fixup_ports()


def _proved(yosys: Any, run: Any, design: Any, job: dict[str, Any], index: int, number: int, module: str) -> bool:
    reference, mapped = Path(f"reference{number}.blif"), Path(f"mapped{index}-{number}.blif")
    status = _apart(partial(_write_cut, yosys, run, design, job, module, mapped.name))
    if status or not reference.exists():
        raise RuntimeError(f"no proof for {module}: Yosys did not write its logic")
    import pyosys

    abc = Path(pyosys.__file__).with_name("yosys-abc")
    proof = subprocess.run(
        [abc, "-q", f"cec {reference} {mapped}"],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    Path(f"proof{index}-{number}.log").write_text(proof.stdout + proof.stderr, encoding="utf-8")
    if "Networks are equivalent" in proof.stdout:
        return True
    if "NOT EQUIVALENT" in proof.stdout:
        return False
    raise RuntimeError(f"ABC could not decide whether it is equivalent: {proof.stdout[-300:]}")


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


def both_ways(design: Any) -> str | None:
    """The ports that are inputs and outputs, or None."""
    wires = (wire for module in design.modules_.values() if not _is_box(module) for wire in module.wires_.values())
    names = [_plain(wire.name) for wire in wires if wire.port_input and wire.port_output]
    return f"inout port: {', '.join(names[:4])}; make it an input or an output" if names else None


def three_state(design: Any) -> str | None:
    """The signals that are driven with z, or None."""
    names = dict.fromkeys(_driven(cell, "Y") for cell in _cells(design) if _plain(cell.type) == "$tribuf")
    return f"three-state: {', '.join([*names][:4])} driven with z, which no cell of use here does" if names else None


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
    """The signal that the register or latch drives."""
    return _driven(cell, "Q")


def _driven(cell: Any, output: str) -> str:
    """The signal at `output`, else the cell's name."""
    for port, bits in cell.connections_.items():
        if _plain(port) == output and bits.size():
            bit = bits.lsb()
            if bit.is_wire():
                return _plain(bit.wire.name)
    return _plain(cell.name)


def _modules(design: Any) -> list[str]:
    """The names of the modules with contents, in one order for equal designs."""
    return sorted(_plain(module.name) for module in design.modules_.values() if not _is_box(module))


def _is_box(module: Any) -> bool:
    return bool({"\\blackbox", "\\whitebox"} & {str(key) for key in module.attributes})


def _plain(name: Any) -> str:
    return str(name).removeprefix("\\")


if __name__ == "__main__":
    serve()
