"""How Yosys reads Verilog: dialect after dialect, opening no file.

This runs inside the processes that have Yosys in them; it imports nothing of amhw, so that they start quickly, and is
loaded there by its path. Started as a script it does one job (see `amhw.hdl.process`).

Verilog can name files to read, and C functions to call while it is read. Neither is wanted of a text from elsewhere:
while Yosys reads and elaborates it the process may open no file but the text itself, whatever the text says, and
C functions are switched off.
"""

import contextlib
import json
import os
import re
import resource
import secrets
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DIALECTS = {"verilog": "Verilog-2005", "systemverilog": "SystemVerilog", "slang": "SystemVerilog by slang"}

_COMMANDS = {"verilog": "read_verilog -nodpi", "systemverilog": "read_verilog -nodpi -sv"}

LONGEST_S = 60
"""Seconds of processor time in which a text must be read and elaborated; an array of 400 elements takes three."""

MOST_MEMORY = 2 << 30
"""Bytes that this may take; a multiplier takes less than a hundredth, that array less than a tenth."""

_PLAIN = r"[A-Za-z_][\w$]*"
_TOP = rf"{_PLAIN}(?:\.{_PLAIN})*"
"""A module that a user may name; Amaranth's have the names of those above them before theirs, with dots."""
_NAME = re.compile(r"[A-Za-z_$][\w$.\\=':]*")
"""What a module's name may consist of: Yosys takes names as words of its commands. (Yosys's own names of modules
with parameters have a backslash, an equals sign and an apostrophe.)"""


class UnreadableError(Exception):
    """The text cannot be used; the message says why in one line."""


class _NothingError(UnreadableError):
    """The text cannot be used as it was read; another dialect may find more in it."""


def read(
    yosys: Any,
    design: Any,
    file: str,
    dialects: Sequence[str],
    top: str | None = None,
    own: Collection[str] = (),
    parameters: Mapping[str, str] | None = None,
    seconds: int = LONGEST_S,
    memory: int = MOST_MEMORY,
) -> tuple[str, str]:
    """Read and elaborate the Verilog in `file` in the first dialect in which it can be read.

    Where there are several, each is tried in a process of its own, as Yosys ends the process on an error. A single
    one that takes too long ends this process, with SIGXCPU.

    Args:
        yosys, design: the module and the design.
        file: its name, in the current folder, where logs are left too.
        dialects: keys of `DIALECTS`.
        top: the top module; None for the one that `top_of` finds.
        own: the modules among which it is looked for.
        parameters: of the top module, as Verilog numbers.
        seconds, memory: of processor time, and bytes, with which it must be done.

    Returns:
        The dialect, and the top module's name.

    Raises:
        UnreadableError: none of them can read it, the top is not clear, a name cannot be passed on, or it takes too
            long or too much memory.
    """

    if top is not None and not re.fullmatch(_TOP, top):
        raise UnreadableError(f"{top!r} is no module's name")

    def elaborate(dialect: str) -> str:
        full = too_large(_at_most(memory))
        try:
            with _limited(seconds, memory):
                return _elaborate(yosys, design, file, dialect, top, own, parameters or {})
        except MemoryError:
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))  # to say so takes memory, too
            raise UnreadableError(full) from None

    if len(dialects) == 1:
        return dialects[0], elaborate(dialects[0])
    reasons: dict[str, list[str]] = {}
    for dialect in dialects:
        status, problem, log = _tried(elaborate, dialect)
        if problem is not None:
            raise UnreadableError(problem)
        if status == 0:
            return dialect, elaborate(dialect)
        if status == -signal.SIGXCPU:
            raise UnreadableError(too_long(seconds))
        reasons.setdefault(reason_in(log) or f"Yosys ended with status {status}", []).append(DIALECTS[dialect])
    tries = "; ".join(f"{reason} (as {' and '.join(tried)})" for reason, tried in reasons.items())
    raise UnreadableError(f"Yosys rejects this Verilog: {tries}")


def top_of(modules: Mapping[str, Collection[str]], ports: Mapping[str, Any], own: Collection[str] = ()) -> str:
    """The one module of `own` that no other instantiates or, of several, the one with a multiplier's ports.

    Args:
        modules: what each module instantiates.
        ports: width and direction of each module's ports.
        own: the modules to choose from; none for all.

    >>> top_of({"adder": {"cell"}, "cell": set()}, {})
    'adder'

    Raises:
        UnreadableError: there is none, or it is not clear which.
    """
    inside = set().union(*modules.values()) if modules else set()
    tops = sorted(name for name in modules if name not in inside)
    tops = [name for name in tops if name in own] or tops
    if len(tops) > 1:
        tops = [name for name in tops if _multiplies(ports.get(name, {}))] or tops
    if len(tops) == 1:
        return tops[0]
    if not modules:
        raise _NothingError("no module with contents in this Verilog")
    if not tops:
        raise UnreadableError(f"no top in this Verilog: {', '.join(sorted(modules))} instantiate one another")
    raise UnreadableError(f"several possible tops: {', '.join(tops)}; choose one with --top")


def reason_in(log: str) -> str | None:
    """The first error in what Yosys or slang printed, on one line, or None.

    >>> reason_in("x\\ndesign.v:3: ERROR:Can't resolve task name `\\\\$system'.\\n")
    "line 3: Can't resolve task name `$system'"
    """
    match = re.search(r"^(?:\S+?:(\d+)[^ \n]*: )?ERROR: ?(.+)", log, re.MULTILINE)
    if match is None:
        return None
    place = f"line {match[1]}: " if match[1] else ""
    return " ".join((place + match[2]).replace("\\", "").split()).removesuffix(".")


@contextlib.contextmanager
def openable(files: int) -> Iterator[None]:
    """Let this process open so many files at a time and no more."""
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


_BIT = re.compile(r"(?P<bus>.*[^\d])(?P<index>\d{1,4})(?:[\]>)]|_)?")


def buses(names: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Ports of one bit that are numbered, as the buses that they make up: lowest bit first, from 0 or 1 up.

    >>> buses(["a[1]", "a[0]", "b0", "b1", "b2", "en", "x7"])
    {'a': ('a[0]', 'a[1]'), 'b': ('b0', 'b1', 'b2')}
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        if match := _BIT.fullmatch(name):
            found.setdefault(match["bus"], {})[int(match["index"])] = name
    return {
        bus.rstrip("[<(_") or bus: tuple(bits[index] for index in sorted(bits))
        for bus, bits in found.items()
        if sorted(bits) in (list(range(len(bits))), list(range(1, len(bits) + 1)))
    }


def _multiplies(ports: Mapping[str, tuple[str, int]]) -> bool:
    """Whether a module has two operands and a product of several bits, whatever else it has."""
    counts = []
    for direction in ("input", "output"):
        widths = {name: width for name, (each, width) in ports.items() if each == direction}
        bits = [name for name, width in widths.items() if width == 1]
        wide = sum(width > 1 for width in widths.values())
        counts.append(wide or sum(len(bus) > 1 for bus in buses(bits).values()))
    return counts == [2, 1]


def _elaborate(
    yosys: Any,
    design: Any,
    file: str,
    dialect: str,
    top: str | None,
    own: Collection[str],
    parameters: Mapping[str, str],
) -> str:
    given = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    if dialect == "slang":
        if parameters:  # slang sets those of every top and ignores unknown ones, so the top must be known before
            top = top or _elaborate(yosys, design, file, dialect, top, own, {})
            yosys.run_pass("design -reset", design)
        _read_by_slang(yosys, design, Path(file).read_text(encoding="utf-8"), top, parameters)
        given = ""
    else:
        with openable(1):  # the text itself stays open until it is read
            yosys.run_pass(f"{_COMMANDS[dialect]} {file}", design)
    # Yosys puts off what has parameters without values; slang does not call the top a box, however empty it is.
    modules = {_plain(m.name).removeprefix("$abstract\\"): m for m in design.modules_.values() if not _is_box(m)}
    if dialect == "slang":
        modules = {name: m for name, m in modules.items() if m.cells_ or m.connections_}
    instances = {name: {_plain(c.type) for c in m.cells_.values()} & set(modules) for name, m in modules.items()}
    if top is None:
        top = top_of(instances, {name: _ports(module) for name, module in modules.items()}, own)
    if top not in modules:
        raise UnreadableError(f"no module {top} in this Verilog; its modules: {', '.join(sorted(modules)) or 'none'}")
    if not re.fullmatch(_TOP, top):
        raise UnreadableError(f"the module {top!r} has no plain name; rename it")
    known = {_plain(name) for name in modules[top].avail_parameters}
    if given and (unknown := [name for name in parameters if name not in known]):
        raise UnreadableError(f"module {top} has no parameter {unknown[0]}; it has {', '.join(known) or 'none'}")
    with openable(0):
        yosys.run_pass(f"hierarchy -check -top {top} {given}", design)
        yosys.run_pass("proc", design)
    for module in design.modules_.values():
        if not _NAME.fullmatch(_plain(module.name)):
            raise UnreadableError(f"the module {_plain(module.name)!r} has no plain name; rename it")
    if given:
        yosys.run_pass(f"rename -top {top}", design)
    return top


def _read_by_slang(yosys: Any, design: Any, text: str, top: str | None, parameters: Mapping[str, str]) -> None:
    """slang closes a file as soon as it has it, so the text comes to it within the script, which stays open."""
    options = " --empty-blackboxes" + (f" --top {top}" if top else "")
    if parameters:
        options += f" --top {top}_parameters " + " ".join(f"-G {name}={value}" for name, value in parameters.items())
        given = ", ".join(f".{name}({value})" for name, value in parameters.items())
        text += f"\nmodule {top}_parameters; {top} #({given}) checked(); endmodule"
    end = f"end_{secrets.token_hex(16)}"
    Path("slang.ys").write_text(f"read_slang{options} << {end}\n{text}\n{end}\n", encoding="utf-8")
    with openable(1):
        yosys.run_pass("script slang.ys", design)


def _tried(action: Any, dialect: str) -> tuple[int, str | None, str]:
    """Do `action` for a dialect in a process of its own: its status, what it said is wrong with the text, its log."""
    log, problem = Path(f"read-{dialect}.log"), Path(f"read-{dialect}.problem")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log_to(str(log))
            action(dialect)
            status = 0
        except _NothingError as error:
            print(f"ERROR: {error}", flush=True)
        except UnreadableError as error:
            problem.write_text(str(error), encoding="utf-8")
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    said = problem.read_text(encoding="utf-8") if problem.exists() else None
    return os.waitstatus_to_exitcode(ended), said, log.read_text(encoding="utf-8", errors="replace")


def log_to(name: str) -> None:
    """From here on everything this process and its children print goes to the file `name`."""
    sys.stdout.flush()
    log = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def too_long(seconds: int) -> str:
    """What to say when Yosys was stopped."""
    return f"Yosys takes longer than {seconds} s; is there a loop in the Verilog that does not end?"


def too_large(memory: int) -> str:
    """What to say when Yosys got no more memory."""
    return f"Yosys takes more memory than {memory >> 20} MiB"


def limit_memory(most: int) -> None:
    """Let this process have so many bytes and no more, where the system can limit that."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (_at_most(most), resource.getrlimit(resource.RLIMIT_AS)[1]))


def _at_most(memory: int) -> int:
    """So many bytes, or as many as this process may have if those are fewer."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return memory if soft == resource.RLIM_INFINITY else min(memory, soft)


@contextlib.contextmanager
def _limited(seconds: int, memory: int) -> Iterator[None]:
    """Let this process have so much processor time, and SIGXCPU after that, and so much memory."""
    before = {kind: resource.getrlimit(kind) for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS)}
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, before[resource.RLIMIT_CPU][1]))
    limit_memory(memory)
    try:
        yield
    finally:
        for kind, limits in before.items():
            resource.setrlimit(kind, limits)


def _ports(module: Any) -> dict[str, tuple[str, int]]:
    return {
        _plain(wire.name): ("input" if wire.port_input else "output", wire.width)
        for wire in module.wires_.values()
        if wire.port_id
    }


def _is_box(module: Any) -> bool:
    return bool({"\\blackbox", "\\whitebox"} & {str(key) for key in module.attributes})


def _plain(name: Any) -> str:
    return str(name).removeprefix("\\")


def _hold(yosys: Any, design: Any, top: str, held: Mapping[str, int]) -> None:
    """Make inputs of the top module constants."""
    module = next(module for module in design.modules_.values() if _plain(module.name) == top)
    wires = {_plain(wire.name): wire for wire in module.wires_.values() if wire.port_input and not wire.port_output}
    for name, value in held.items():
        if name not in wires:
            raise UnreadableError(f"module {top} has no input {name!r} to hold; it has {', '.join(wires) or 'none'}")
        if not 0 <= value < 1 << wires[name].width:
            raise UnreadableError(f"--hold {name}={value}: it has {wires[name].width} bits")
        wires[name].port_input = False
        bits = yosys.Const.from_string(f"{value:0{wires[name].width}b}")
        module.connect(yosys.SigSpec(wires[name]), yosys.SigSpec(bits))
    module.fixup_ports()


def _main() -> None:
    """Do the job in ``job.json`` in the current folder and leave the answer in ``reply.json``."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    limit_memory(job["memory"])
    log_to("log.txt")
    from pyosys import libyosys

    design = libyosys.Design()
    reply = {}
    try:
        if job["dialects"]:
            dialect, top = read(
                libyosys, design, job["file"], job["dialects"], job["top"], job["own"], job["parameters"]
            )
            _hold(libyosys, design, top, job["held"])
            reply = {"dialect": dialect, "top": top}
        for line in job["passes"]:
            libyosys.run_pass(line, design)
    except UnreadableError as error:
        reply = {"refusal": str(error)}
    except MemoryError:
        reply = {"refusal": too_large(job["memory"])}
    Path("reply.json").write_text(json.dumps(reply), encoding="utf-8")


if __name__ == "__main__":
    _main()
