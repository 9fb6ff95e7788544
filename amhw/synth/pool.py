"""A pool of warm processes that synthesise designs, one each at a time."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from amhw.hdl import reading
from amhw.hdl.source import Source
from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.netlist import LoopError, Netlist
from amhw.synth.process import MOST_MEMORY, ending, out_of_memory, why
from amhw.synth.recipe import RECIPES, Recipe
from amhw.synth.reports import error_in
from amhw.synth.result import Mapping, Store, SynthesisResult, modules_of
from amhw.synth.technology import MOST_READERS, Technology
from amhw.synth.timing import timing
from amhw.synth.truth import Expected, WrongNetlistError, check

_WORKER = Path(__file__).with_name("worker.py")
_REFUSED_AT = {
    "read.log": "Yosys rejects this Verilog",
    "registers.log": "the library lacks flip-flops for this Verilog",
}


class Synthesiser:
    """Runs Yosys and ABC in `workers` processes that are started once and reused.

    Use it as a context manager: leaving it, also by Ctrl-C, ends every process it started. A crash or hang
    of Yosys or ABC costs the design that met it. A design's figures depend on its text, the technology and
    the recipe alone, not on what was synthesised before.

    >>> inverter = "module inverter(input a, output y); assign y = ~a; endmodule"
    >>> with Synthesiser(Technology.named("sky130hd"), workers=1) as synthesiser:
    ...     synthesiser.submit(inverter).result().area_um2
    3.7536
    """

    def __init__(
        self,
        technology: Technology,
        recipes: Sequence[Recipe] = RECIPES,
        *,
        workers: int | None = None,
        timeout: float = 300.0,
        netlists: bool = False,
    ) -> None:
        """`timeout` is in seconds a design; `netlists` keeps each netlist, as Verilog and as a value.

        Raises:
            Refusal: there is no room for temporary files.
        """
        self.technology = technology
        self.recipes = self._usable(recipes)
        self.workers = workers or os.cpu_count() or 1
        self.timeout, self.netlists = timeout, netlists
        files = {
            "cells.lib": technology.liberty,
            "constraints": technology.constraints,
            "adders.v": technology.adder_map,
        }
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="amhw-synth-"))
            for name, text in files.items():
                (self._folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise Refusal(
                f"cannot write temporary files: {error.strerror or error}; TMPDIR names the folder"
            ) from error
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="synthesis")
        self._own = threading.local()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> "Synthesiser":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process and drop what is still queued."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            _end(process)
        self._threads.shutdown(wait=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def submit(
        self,
        verilog: str | Source,
        top: str | None = None,
        expected: Expected | None = None,
        *,
        recipes: Sequence[Recipe] | None = None,
        prove: bool = False,
        hierarchical: bool = False,
    ) -> "Future[SynthesisResult]":
        """Synthesise the module `top` (default: the only one nobody instantiates) of `verilog`.

        `recipes` are taken in place of the pool's own.
        With `expected`, every product of every netlist is compared with it; with `prove`, ABC proves every
        netlist equal to the Verilog as Yosys read it, registers matched by name. With
        `hierarchical`, each module is mapped by itself, once however often it is instantiated; area, timing and proof
        are of the whole all the same.

        The future raises `Refusal` when the design cannot be used (Yosys rejects it, no or several possible
        tops, a black box, a latch, a combinational loop, an undriven or multiply-driven net, more than `timeout`) and
        `SynthesisError` when the tool failed with every recipe, and `WrongNetlistError` when a netlist does not
        compute what it should.
        """
        source = Source(verilog) if isinstance(verilog, str) else verilog
        chosen = self.recipes if recipes is None else self._usable(recipes)
        return self._threads.submit(self._synthesise, source, top, expected, chosen, prove, hierarchical)

    def _usable(self, recipes: Sequence[Recipe]) -> tuple[Recipe, ...]:
        """Those for which the technology has the cells."""
        usable = tuple(r for r in recipes if not r.adders or self._adders(r) or r.kind == "as designed")
        if not usable:
            raise ValueError("no recipe")
        return usable

    def _adders(self, recipe: Recipe) -> tuple[str, ...]:
        """The kinds of adder that become cells by `recipe`."""
        if not recipe.adders:
            return ()
        return self.technology.adders if recipe.kind == "as designed" else self.technology.small_adders

    def _synthesise(
        self,
        source: Source,
        top: str | None,
        expected: Expected | None,
        recipes: tuple[Recipe, ...],
        prove: bool,
        hierarchical: bool,
    ) -> SynthesisResult:
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            (folder / "design.v").write_text(source.text, encoding="utf-8", errors="replace")
            cells = self.technology.library.cells.values()
            reply = self._ask(
                {
                    "folder": str(folder),
                    "scratch": str(self._folder),
                    "liberty": str(self._folder / "cells.lib"),
                    "constraints": str(self._folder / "constraints"),
                    "dialects": source.dialects,
                    "own": source.own,
                    "top": top,
                    "adders": str(self._folder / "adders.v"),
                    "registers": self.technology.registers,
                    "hierarchical": hierarchical,
                    "buffer": self.technology.buffer,
                    "fanout": MOST_READERS,
                    "inputs": {c.name: [pin.name for pin in c.inputs] for c in cells},
                    "clocks": {c.name: [pin.name for pin in c.inputs if pin.is_clock] for c in cells},
                    "recipes": [
                        {
                            "name": recipe.name,
                            "script": recipe.text("full" in self.technology.adders),
                            "adders": self._adders(recipe),
                        }
                        for recipe in recipes
                    ],
                    "prove": prove,
                    "netlists": self.netlists,
                    "timeout": self.timeout,
                    "reading": [reading.LONGEST_S, reading.MOST_MEMORY],
                    "memory": MOST_MEMORY,
                }
            )
            return self._result(reply, folder, source, expected, recipes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        process: subprocess.Popen[bytes] | None = getattr(self._own, "process", None)
        if process is None or process.poll() is not None:
            process = self._own.process = self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = b""
        if not line:
            if self._closed:
                raise CancelledError
            _end(process)
            said = (self._folder / "worker.log").read_text(errors="replace", encoding="utf-8").splitlines()[-1:]
            why = "; ".join([ending(process.returncode), *said])
            raise SynthesisError(f"the process that runs Yosys ended ({why})")
        return dict(json.loads(line))

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise CancelledError
            # Its own session: a Ctrl-C in the terminal reaches us alone, and we end it in `close`.
            with (self._folder / "worker.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-P", str(_WORKER)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
            self._processes.add(process)
            return process

    def _result(
        self,
        reply: dict[str, Any],
        folder: Path,
        source: Source,
        expected: Expected | None,
        recipes: tuple[Recipe, ...],
    ) -> SynthesisResult:
        if "refusal" in reply:
            raise Refusal(source.placed(reply["refusal"]))
        if "failed" in reply:
            raise SynthesisError(f"Yosys failed: {reply['failed']}")
        if "timeout" in reply:
            raise Refusal(f"synthesis took longer than {reply['timeout']:g} s and was stopped; the design is too large")
        if "died" in reply:
            log = next(
                path for name in ("registers", "read") if (path := folder / f"{name}.log").exists() or name == "read"
            )
            text = log.read_text(errors="replace", encoding="utf-8") if log.exists() else ""
            if reply["died"] == -signal.SIGXCPU:
                raise Refusal(reading.too_long(reading.LONGEST_S))
            if out_of_memory(text):
                raise Refusal(reading.too_large(MOST_MEMORY))
            if (message := error_in(text)) is not None:
                raise Refusal(source.placed(f"{_REFUSED_AT[log.name]}: {_named(message, folder)}"))
            raise SynthesisError(f"Yosys failed: {why(text, reply['died'])}")
        mappings, failures, checked = [], [], ""
        for index, (recipe, mapped) in enumerate(zip(recipes, reply["mapped"], strict=True)):
            if "failed" in mapped:
                failures.append((recipe.name, " ".join(mapped["failed"].split())))
                continue
            if "died" in mapped:
                log = folder / f"map{index}.log"
                text = log.read_text(errors="replace", encoding="utf-8") if log.exists() else ""
                failures.append((recipe.name, why(text, mapped["died"])))
                continue
            try:
                mapping = self._mapping(recipe, mapped["seconds"], folder, index, reply["top"])
            except LoopError as error:  # through several modules; Yosys looks at one at a time
                raise Refusal(f"{error} (in {reply['top']})") from error
            assert mapping.gates is not None
            if not mapped.get("equivalent", True):
                raise WrongNetlistError(f"recipe {recipe.name}: the netlist of {reply['top']} is not its Verilog")
            checked = "proved equivalent to the Verilog" if "equivalent" in mapped else ""
            if expected is not None:
                try:
                    checked = f"{check(mapping.gates, expected)} products"
                except WrongNetlistError as error:
                    raise WrongNetlistError(f"recipe {recipe.name}: {error}") from None
            mappings.append(mapping if self.netlists else replace(mapping, gates=None))
        if not mappings:
            raise SynthesisError(f"Yosys failed in recipe {failures[0][0]}: {failures[0][1]}")
        return SynthesisResult(
            top=reply["top"],
            verilog_sha256=hashlib.sha256(source.text.encode()).hexdigest(),
            tech=self.technology.name,
            tech_sha256=self.technology.sha256,
            nand2_area=self.technology.nand2_area,
            tool=reply["version"],
            mappings=tuple(mappings),
            failures=tuple(failures),
            verified=checked,
        )

    def _mapping(self, recipe: Recipe, seconds: float, folder: Path, index: int, top: str) -> Mapping:
        written = (folder / f"mapped{index}.json").read_text(encoding="utf-8")
        netlist = Netlist.read(written, self.technology.library, top)
        found = timing(netlist, self.technology)
        cells = Counter(gate.cell.name for gate in netlist.instances)
        area = math.fsum(gate.cell.area for gate in netlist.instances)
        return Mapping(
            recipe=recipe.name,
            area_um2=round(area, 4),
            delay_ps=found.delay_ps,
            cells_by_type=dict(sorted(cells.items())),
            path=found.path,
            start=found.start,
            end=found.end,
            setup_ps=found.setup_ps,
            aim=recipe.aim,
            adders=recipe.adders,
            kind=recipe.kind,
            seconds=seconds,
            netlist=(folder / f"mapped{index}.v").read_text(encoding="utf-8") if self.netlists else None,
            gates=netlist,
            modules=modules_of(netlist, found.latest),
            memories=tuple(Store(m.name, m.words, m.width) for m in netlist.memories),
        )


def synthesise(
    verilog: str,
    top: str | None = None,
    technology: Technology | None = None,
    recipes: Sequence[Recipe] = RECIPES,
) -> SynthesisResult:
    """Area and delay of one design. For many, keep a `Synthesiser`: starting one takes a fifth of a second.

    `technology` defaults to `Technology.named("sky130hd")`. Raises what `Synthesiser.submit` says.

    >>> synthesise("module g(input a, b, output y); assign y = a & b; endmodule").best_area.cells_by_type
    {'sky130_fd_sc_hd__and2_0': 1}
    """
    with Synthesiser(technology or Technology.named("sky130hd"), recipes, workers=1) as synthesiser:
        return synthesiser.submit(verilog, top).result()


def _named(message: str, folder: Path) -> str:
    """`message` with registers as the designer calls them."""
    known = folder / "registers.json"
    for cell, name in json.loads(known.read_text(encoding="utf-8")).items() if known.exists() else ():
        message = message.replace(cell, name)
    return message


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the worker's standard input, on which it ends what it runs and leaves; kill it if it does not."""
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
