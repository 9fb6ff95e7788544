"""Anyone's Verilog as a function of arrays.

Yosys turns the Verilog into an and-inverter graph; NumPy evaluates the graph for 64 input patterns a machine
word, so that all 65,536 operand pairs of an 8 × 8 multiplier take a few milliseconds. Nothing here knows of
multipliers or of how this project emits Verilog: it is an independent reader of both.

Registers are transparent: what is evaluated is what the outputs become, clock after clock, while the inputs stay as
they are. For a pipeline that is its function, `latency` clocks late. An output that depends on registers which
feed themselves (a counter, an accumulator) has no such value and is not evaluated.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amhw.hdl.process import elaborated
from amhw.hdl.source import Source
from amhw.refusal import Refusal

_AT_ONCE = 1 << 17
"""Patterns evaluated together: enough to hide Python's overhead, few enough to stay in the cache."""

_WIDEST = 62

_PASSES = (
    "delete t:$print t:$check t:$assert t:$assume t:$cover t:$live t:$fair",
    "flatten -noscopeinfo",
    "memory_map",
    "opt -keepdc",
    "async2sync t:$*ff*",
    "dffunmap",
    "techmap",
    "opt -keepdc -nodffe -nosdff",
    "aigmap",
    "opt_clean",
    "check -assert",
    "write_json graph.json",
)


@dataclass(frozen=True)
class CircuitPort:
    """One port of a circuit.

    Attributes:
        width: bits.
        signed: whether the Verilog declares it signed; published signed circuits often do not.
    """

    width: int
    signed: bool


@dataclass(frozen=True, eq=False)
class Circuit:
    """A circuit: an and-inverter graph with named ports.

    Attributes:
        source: the Verilog, with the dialect in which it was read.
        top: the module's name.
        inputs, outputs: the ports by name, without the clock.
        clock: the input that clocks the registers, if there are any.

    >>> circuit = Circuit.read("module m(input [1:0] x, output [1:0] y); assign y = ~x; endmodule")
    >>> circuit.evaluate({"x": [0, 1, 2, 3]})["y"].tolist()
    [3, 2, 1, 0]
    """

    source: Source
    top: str
    inputs: dict[str, CircuitPort]
    outputs: dict[str, CircuitPort]
    clock: str | None
    _graph: "_Graph"

    @classmethod
    def read(
        cls,
        source: Source | str,
        top: str | None = None,
        *,
        parameters: Mapping[str, str] | None = None,
        held: Mapping[str, int] | None = None,
    ) -> Self:
        """The circuit that Verilog describes.

        Args:
            source: one or more modules.
            top: the top module; needed where there are several that nothing instantiates.
            parameters: of the top module, as Verilog numbers.
            held: values of inputs that never change.

        Raises:
            Refusal: Yosys cannot read the source, the top module is not clear, or the circuit is not fully driven,
                has latches or loops, or registers with several clocks.
        """
        source = Source(source) if isinstance(source, str) else source
        with tempfile.TemporaryDirectory(prefix="amhw-") as name:
            read, top = elaborated(source, Path(name), _PASSES, top=top, parameters=parameters, held=held)
            module = json.loads((Path(name) / "graph.json").read_text(encoding="utf-8"))["modules"][top]
        ports: dict[str, dict[str, CircuitPort]] = {"input": {}, "output": {}}
        for port, described in module["ports"].items():
            if described["direction"] not in ports:
                raise Refusal(f"port {port} of module {top} is neither input nor output")
            ports[described["direction"]][port] = CircuitPort(len(described["bits"]), bool(described.get("signed", 0)))
        graph = _Graph(top, module)
        inputs = {port: each for port, each in ports["input"].items() if port != graph.clock}
        return cls(read, top, inputs, ports["output"], graph.clock, graph)

    def latency(self, output: str) -> tuple[int, int]:
        """How many registers lie between the inputs and an output, on the shortest way and on the longest.

        Raises:
            Refusal: it depends on registers that feed themselves.
        """
        self._refuse_state([output])
        return self._graph.latencies[output]

    def reads(self, output: str) -> frozenset[str]:
        """The inputs on which an output depends.

        Raises:
            Refusal: it depends on registers that feed themselves.
        """
        self._refuse_state([output])
        return self._graph.reads[output]

    def evaluate(
        self, values: Mapping[str, ArrayLike], outputs: Iterable[str] | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """Outputs for arrays of input codes.

        Args:
            values: for each input, an array of non-negative codes; the arrays broadcast. Inputs on which no output
                of interest depends may be left out.
            outputs: those of interest; by default all.

        Returns:
            For each output, int64 codes (non-negative) in the broadcast shape.

        Raises:
            Refusal: an input is missing or unknown, a port is wider than 62 bits, an output is x or depends on
                registers that feed themselves.
        """
        wanted = tuple(self.outputs if outputs is None else outputs)
        self._refuse_state(wanted)
        needed = set().union(*(self._graph.reads[name] for name in wanted))
        if not needed <= set(values) <= set(self.inputs):
            raise Refusal(
                f"module {self.top} has the inputs {', '.join(self.inputs)}; values are given for {', '.join(values)}"
            )
        ports = {name: self.inputs[name] for name in values} | {name: self.outputs[name] for name in wanted}
        if wide := [name for name, port in ports.items() if port.width > _WIDEST]:
            raise Refusal(f"port {wide[0]} is wider than {_WIDEST} bits")
        arrays = np.broadcast_arrays(*(np.asarray(array, dtype=np.int64) for array in values.values()))
        shape, flat = arrays[0].shape, {name: array.reshape(-1) for name, array in zip(values, arrays, strict=True)}
        results = {name: np.zeros(arrays[0].size, dtype=np.int64) for name in wanted}
        for start in range(0, arrays[0].size, _AT_ONCE):
            window = slice(start, start + _AT_ONCE)
            some = {name: array[window] for name, array in flat.items()}
            found, *other = self._graph.evaluate(some, wanted)
            for name in wanted:
                if other and (found[name] != other[0][name]).any():
                    raise Refusal(f"an output of module {self.top} is undefined (x) for some inputs")
                results[name][window] = found[name]
        return {name: array.reshape(shape) for name, array in results.items()}

    def _refuse_state(self, outputs: Iterable[str]) -> None:
        for name in outputs:
            if registers := self._graph.state.get(name):
                raise Refusal(
                    f"module {self.top} is sequential: {name} depends on registers that feed themselves "
                    f"({', '.join(registers)}), so that a result takes several clocks; only circuits without registers "
                    "and pipelines can be tabulated (--hold says which enables or resets stay)"
                )


class _Graph:
    """The gates of a module in Yosys' JSON, every driver before its readers.

    Literal 2n is node n and 2n + 1 its inverse. Node 0 is false, node 1 is x; then come the bits of the inputs, then
    the and gates. An inverter is a literal and a register its input's literal.
    """

    def __init__(self, top: str, module: dict[str, Any]) -> None:
        self.top = top
        cells = {name: (cell["type"], cell["connections"]) for name, cell in module["cells"].items()}
        strange = sorted({kind for kind, _ in cells.values()} - {"$_AND_", "$_NOT_", "$_DFF_P_", "$_DFF_N_"})
        if strange:
            latch = "; a latch is no register: assign on every path" if any("LATCH" in kind for kind in strange) else ""
            raise Refusal(f"module {top} holds cells of kind {', '.join(strange)}, which no table can describe{latch}")
        self.inputs: list[tuple[str, int]] = []
        self._literals: dict[Any, int] = {"0": 0, "1": 1, "x": 2, "z": 2}
        self._ways: dict[Any, tuple[int, int] | None] = dict.fromkeys("01xz")
        self._sources: dict[Any, frozenset[str]] = dict.fromkeys("01xz", frozenset())
        for port, described in module["ports"].items():
            if described["direction"] == "input":
                for bit, net in enumerate(described["bits"]):
                    self._literals[net] = 2 * (2 + len(self.inputs))
                    self.inputs.append((port, bit))
                    self._ways[net], self._sources[net] = (0, 0), frozenset([port])
        self.clock = self._clock(module, cells)
        self.gates: list[tuple[int, int]] = []
        left = self._sort(cells)
        self.roots: dict[str, tuple[int, ...]] = {}
        self.latencies: dict[str, tuple[int, int]] = {}
        self.reads: dict[str, frozenset[str]] = {}
        self.state: dict[str, tuple[str, ...]] = {}
        for port, described in module["ports"].items():
            if described["direction"] != "output":
                continue
            if any(net not in self._literals for net in described["bits"]):
                self.state[port] = _in_cycles(module, cells, left)
                continue
            self.roots[port] = tuple(self._literals[net] for net in described["bits"])
            ways = [way for net in described["bits"] if (way := self._ways[net]) is not None]
            self.latencies[port] = min((w[0] for w in ways), default=0), max((w[1] for w in ways), default=0)
            self.reads[port] = frozenset().union(*(self._sources[net] for net in described["bits"]))

    def evaluate(
        self, values: Mapping[str, NDArray[np.int64]], outputs: Iterable[str]
    ) -> list[dict[str, NDArray[np.int64]]]:
        """The outputs with every x read as 0 and, where an x can matter, as 1 too."""
        count = len(next(iter(values.values())))
        wanted = {root >> 1 for name in outputs for root in self.roots[name]}
        first = 2 + len(self.inputs)
        for node in range(first + len(self.gates) - 1, first - 1, -1):
            if node in wanted:
                wanted.update(literal >> 1 for literal in self.gates[node - first])
        return [
            self._evaluate(values, outputs, wanted, count, unknown) for unknown in ((0, 1) if 1 in wanted else (0,))
        ]

    def _evaluate(
        self,
        values: Mapping[str, NDArray[np.int64]],
        outputs: Iterable[str],
        wanted: set[int],
        count: int,
        unknown: int,
    ) -> dict[str, NDArray[np.int64]]:
        words = -(-count // 64)
        false = np.zeros(words, dtype=np.uint64)
        nodes = {0: false, 1: ~false if unknown else false}
        for node, (name, bit) in enumerate(self.inputs, 2):
            if node in wanted:
                packed = np.zeros(words * 8, dtype=np.uint8)
                bits = np.packbits((values[name] >> bit & 1).astype(np.uint8), bitorder="little")
                packed[: bits.size] = bits
                nodes[node] = packed.view(np.uint64)

        def literal(code: int) -> NDArray[np.uint64]:
            return ~nodes[code >> 1] if code & 1 else nodes[code >> 1]

        for node, (left, right) in enumerate(self.gates, 2 + len(self.inputs)):
            if node in wanted:
                nodes[node] = literal(left) & literal(right)
        results = {}
        for name in outputs:
            results[name] = np.zeros(count, dtype=np.int64)
            for bit, root in enumerate(self.roots[name]):
                ones = np.unpackbits(literal(root).view(np.uint8), count=count, bitorder="little")
                results[name] |= ones.astype(np.int64) << bit
        return results

    def _clock(self, module: dict[str, Any], cells: dict[str, tuple[str, dict[str, Any]]]) -> str | None:
        registers = [(name, kind, pins) for name, (kind, pins) in cells.items() if kind.startswith("$_DFF")]
        if not registers:
            return None
        clocks = {(kind, pins["C"][0]) for _, kind, pins in registers}
        if len(clocks) > 1:
            names = _signals(module, {pins["Q"][0] for _, _, pins in registers})
            raise Refusal(f"module {self.top} has registers with several clocks or edges ({', '.join(names)})")
        [(_, net)] = clocks
        node = self._literals.get(net, 0) >> 1
        if node < 2:
            raise Refusal(
                f"the clock of module {self.top} is made inside it; hold what gates it, or give the clock itself"
            )
        if any(net in pins.get(pin, ()) for _, pins in cells.values() for pin in "ABD"):
            raise Refusal(f"module {self.top} reads its clock {self.inputs[node - 2][0]} like an operand")
        return self.inputs[node - 2][0]

    def _sort(self, cells: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, int]:
        """Add each cell once all before it are there (Kahn); those that remain, in cycles or after them."""
        readers: dict[Any, list[str]] = {}
        waiting: dict[str, int] = {}
        for name, (_, pins) in cells.items():
            nets = {pins[pin][0] for pin in "ABD" if pin in pins} - self._literals.keys()
            waiting[name] = len(nets)
            for net in nets:
                readers.setdefault(net, []).append(name)
        ready = [name for name, count in waiting.items() if not count]
        for name in ready:
            del waiting[name]
            net = self._add(*cells[name])
            for reader in readers.get(net, ()):
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
        return waiting

    def _add(self, kind: str, pins: dict[str, Any]) -> Any:
        sources = [pins[pin][0] for pin in "ABD" if pin in pins]
        literals = [self._literals[net] for net in sources]
        ways = [way for net in sources if (way := self._ways[net]) is not None]
        late = int(kind.startswith("$_DFF"))
        net = pins["Q" if late else "Y"][0]
        if kind == "$_AND_":
            self._literals[net] = 2 * (2 + len(self.inputs) + len(self.gates))
            self.gates.append((literals[0], literals[1]))
        else:
            self._literals[net] = literals[0] ^ (kind == "$_NOT_")
        self._ways[net] = (min(w[0] for w in ways) + late, max(w[1] for w in ways) + late) if ways else None
        self._sources[net] = frozenset().union(*(self._sources[source] for source in sources))
        return net


def _in_cycles(
    module: dict[str, Any], cells: dict[str, tuple[str, dict[str, Any]]], left: Iterable[str]
) -> tuple[str, ...]:
    """The registers among the cells `left` that lie in cycles: those that others of them read, again and again."""
    left = set(left)
    while True:
        pins = [cells[name][1] for name in left]
        read = {each[pin][0] for each in pins for pin in "ABD" if pin in each}
        kept = {name for name in left if read & {net for pin in "QY" for net in cells[name][1].get(pin, ())}}
        if kept == left:
            break
        left = kept
    return _signals(module, {cells[name][1]["Q"][0] for name in left if "Q" in cells[name][1]})


def _signals(module: dict[str, Any], nets: set[Any]) -> tuple[str, ...]:
    """Up to four names that the designer gave these nets."""
    named = [name for name, each in module["netnames"].items() if not each["hide_name"] and nets & set(each["bits"])]
    return tuple(named[:4])
