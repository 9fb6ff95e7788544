"""Anyone's combinational Verilog as a function of arrays.

Yosys turns the Verilog into an and-inverter graph; NumPy evaluates the graph for 64 input patterns a machine
word, so that all 65,536 operand pairs of an 8 × 8 multiplier take a few milliseconds. Nothing here knows of
multipliers or of how this project emits Verilog: it is an independent reader of both.

Yosys runs in a process of its own, because it keeps global state and ends the process on an error.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amhw.refusal import Refusal

_RUN_PASSES = """
import sys
from pyosys import libyosys
design = libyosys.Design()
for line in sys.argv[1:]:
    libyosys.run_pass(line, design)
"""

_AT_ONCE = 1 << 17
"""Patterns evaluated together: enough to hide Python's overhead, few enough to stay in the cache."""

_LONGEST_RUN_S = 300


@dataclass(frozen=True)
class Port:
    """One port of a circuit.

    Attributes:
        width: bits.
        signed: whether the Verilog declares it signed; published signed circuits often do not.
    """

    width: int
    signed: bool


@dataclass(frozen=True, eq=False)
class Circuit:
    """A combinational circuit: an and-inverter graph with named ports.

    Attributes:
        top: the module's name.
        inputs, outputs: the ports by name.

    >>> circuit = Circuit.read("module m(input [1:0] x, output [1:0] y); assign y = ~x; endmodule")
    >>> circuit.evaluate({"x": [0, 1, 2, 3]})["y"].tolist()
    [3, 2, 1, 0]
    """

    top: str
    inputs: dict[str, Port]
    outputs: dict[str, Port]
    _bits_in: tuple[tuple[str, int], ...]
    _bits_out: tuple[tuple[str, int], ...]
    _roots: tuple[int, ...]
    _gates: NDArray[np.int64]
    """(left literal, right literal) of each and gate; literal 2n is node n, 2n + 1 its inverse, node 0 is false."""
    _undefined_as_one: Self | None = None
    """The same circuit with x read as 1, where the Verilog has an x and that changes the graph."""

    @classmethod
    def read(cls, text: str, top: str | None = None, *, system_verilog: bool = False) -> Self:
        """The circuit that Verilog text describes.

        Args:
            text: one or more modules.
            top: the top module; needed where the text has several that nothing instantiates.
            system_verilog: read as SystemVerilog.

        Raises:
            Refusal: Yosys cannot read the text, the top module is not clear, or the circuit is not purely
                combinational and fully driven.
        """
        if top is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", top):
            raise Refusal(f"{top!r} is no module's name")
        with tempfile.TemporaryDirectory(prefix="amhw-") as name:
            folder = Path(name)
            (folder / "source.v").write_text(text, encoding="utf-8")
            passes = [
                f"read_verilog {'-sv ' if system_verilog else ''}{folder}/source.v",
                "proc",
                f"write_json {folder}/modules.json",
                "hierarchy -check " + ("-auto-top" if top is None else f"-top {top}"),
                "proc",
                f"write_json {folder}/ports.json",
                "flatten",
                "memory_map",
                "opt -keepdc",
                "techmap",
                "opt -keepdc",
                "aigmap",
                "check -assert",
                "design -save mapped",
                *_graph("zero", folder),
                "design -load mapped",
                *_graph("one", folder),
            ]
            try:
                _yosys(*passes)
            finally:
                # A wrong top is the likelier cause of what Yosys complains of, and says more.
                if (folder / "modules.json").exists():
                    _check_top(top, json.loads((folder / "modules.json").read_text())["modules"])
            modules = json.loads((folder / "ports.json").read_text())["modules"]
            chosen, ports = next(
                (module, body["ports"])
                for module, body in modules.items()
                if int(body["attributes"].get("top", "0"), 2)
            )
            graphs = [(folder / f"{undefined}.aag").read_text() for undefined in ("zero", "one")]
        circuit, other = (cls._of_graph(chosen, ports, graph) for graph in graphs)
        if not np.array_equal(circuit._gates, other._gates) or circuit._roots != other._roots:
            object.__setattr__(circuit, "_undefined_as_one", other)
        return circuit

    @classmethod
    def _of_graph(cls, top: str, ports: dict[str, Any], graph: str) -> Self:
        lines = graph.splitlines()
        _, inputs, latches, outputs, gates = map(int, lines[0].split()[1:])
        if latches:
            raise Refusal(f"module {top} stores {latches} bits; only combinational circuits can be tabulated")
        found: dict[str, dict[str, Port]] = {"input": {}, "output": {}}
        for port, description in ports.items():
            if description["direction"] not in found:
                raise Refusal(f"port {port} of module {top} is neither input nor output")
            found[description["direction"]][port] = Port(len(description["bits"]), bool(description.get("signed", 0)))
        first_gate = 1 + inputs + outputs
        body = np.array([line.split() for line in lines[first_gate : first_gate + gates]], dtype=np.int64).reshape(
            -1, 3
        )
        symbols: dict[str, dict[int, tuple[str, int]]] = {"i": {}, "o": {}}
        for line in lines[first_gate + gates :]:
            if line == "c":
                break
            if match := re.fullmatch(r"([io])(\d+) (.*?)(?:\[(\d+)\])?", line):
                symbols[match[1]][int(match[2])] = (match[3], int(match[4] or 0))
        return cls(
            top,
            found["input"],
            found["output"],
            tuple(symbols["i"][i] for i in range(inputs)),
            tuple(symbols["o"][i] for i in range(outputs)),
            tuple(int(line) for line in lines[1 + inputs : first_gate]),
            body[:, 1:],
        )

    def evaluate(self, values: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.int64]]:
        """The outputs for arrays of input codes.

        Args:
            values: for each input, an array of non-negative codes; the arrays broadcast.

        Returns:
            For each output, int64 codes (non-negative) in the broadcast shape.

        Raises:
            Refusal: an input is missing or unknown, a port is wider than 62 bits, or an output is x.
        """
        if set(values) != set(self.inputs):
            raise Refusal(
                f"module {self.top} has the inputs {', '.join(self.inputs)}; values are given for {', '.join(values)}"
            )
        if wide := [name for name, port in {**self.inputs, **self.outputs}.items() if port.width > 62]:
            raise Refusal(f"port {wide[0]} is wider than 62 bits")
        arrays = np.broadcast_arrays(*(np.asarray(values[name], dtype=np.int64) for name in self.inputs))
        shape = arrays[0].shape
        flat = {name: array.reshape(-1) for name, array in zip(self.inputs, arrays, strict=True)}
        count = arrays[0].size
        results = {name: np.zeros(count, dtype=np.int64) for name in self.outputs}
        for start in range(0, count, _AT_ONCE):
            window = slice(start, min(start + _AT_ONCE, count))
            self._evaluate_some({name: array[window] for name, array in flat.items()}, results, window)
        if self._undefined_as_one is not None:
            others = self._undefined_as_one.evaluate(flat)
            if any((results[name] != others[name]).any() for name in results):
                raise Refusal(f"an output of module {self.top} is undefined (x) for some inputs")
        return {name: array.reshape(shape) for name, array in results.items()}

    def _evaluate_some(
        self, values: dict[str, NDArray[np.int64]], results: dict[str, NDArray[np.int64]], window: slice
    ) -> None:
        count = window.stop - window.start
        words = -(-count // 64)
        nodes: list[NDArray[np.uint64]] = [np.zeros(words, dtype=np.uint64)]
        for name, bit in self._bits_in:
            packed = np.zeros(words * 8, dtype=np.uint8)
            bits = np.packbits((values[name] >> bit & 1).astype(np.uint8), bitorder="little")
            packed[: bits.size] = bits
            nodes.append(packed.view(np.uint64))

        def literal(code: int) -> NDArray[np.uint64]:
            return ~nodes[code >> 1] if code & 1 else nodes[code >> 1]

        for left, right in self._gates.tolist():
            nodes.append(literal(left) & literal(right))
        for (name, bit), root in zip(self._bits_out, self._roots, strict=True):
            ones = np.unpackbits(literal(root).view(np.uint8), count=count, bitorder="little")
            results[name][window] |= ones.astype(np.int64) << bit


def _yosys(*passes: str) -> None:
    """Run passes in a fresh Yosys.

    Raises:
        Refusal: with Yosys' own first complaint.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _RUN_PASSES, *passes],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST_RUN_S,
        )
    except subprocess.TimeoutExpired:
        raise Refusal(f"Yosys took longer than {_LONGEST_RUN_S} s; give a smaller circuit") from None
    if done.returncode:
        said = re.findall(r"^(?:.*?:\d+: )?ERROR: (.*)|^Warning: (.*)", done.stdout + done.stderr, re.MULTILINE)
        complaints = [re.sub(r"\S*/source\.v:", "line ", error or warning).strip() for error, warning in said]
        if complaints and "check -assert" in complaints[-1]:
            complaints = complaints[-2:-1]
        raise Refusal(f"Yosys refuses the circuit: {complaints[-1] if complaints else 'no reason given'}")


def _graph(undefined: str, folder: Path) -> list[str]:
    """Write the graph with every x read as ``zero`` or ``one``: a circuit that never shows an x does not care."""
    return [
        f"setundef -{undefined}",
        "opt_clean",
        f"write_aiger -ascii -symbols {folder}/{undefined}.aag",
    ]


def _check_top(top: str | None, modules: dict[str, Any]) -> None:
    """
    Raises:
        Refusal: the text has no such module, or none is named and several could be meant.
    """
    if top is not None:
        if top not in modules:
            raise Refusal(f"no module {top!r}; for --top there are {', '.join(modules) or 'none'}")
        return
    used = {cell["type"] for body in modules.values() for cell in body["cells"].values()}
    roots = [name for name in modules if name not in used]
    if len(roots) > 1:
        raise Refusal(f"several modules could be the top: {', '.join(roots)}; say which with --top")
