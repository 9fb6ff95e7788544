"""The mesh: processing elements in rows and columns, and the registers that skew and de-skew its edges.

Users of an array see neither skew nor elements: operands go in side by side in one cycle, sums come out side by
side `latency` cycles later. Both arrays take one set of operands every cycle and cannot be stalled: there is no
backpressure.

                        bottom-up chain of weights
                 a ──► [skew i] ──► PE ─► PE ─► PE
                                    │     │     │   sums
                                    ▼     ▼     ▼
                                    PE ─► PE ─► PE
                                    │     │     │
                                [de-skew cols−1−j] ──► s
"""

from collections.abc import Sequence

from amaranth.hdl import ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.delay import delay_line, delayed, flag_line
from amhw.array.element import OutputElement, ProcessingElement, at_edge, sum_shape
from amhw.array.modes import Rows
from amhw.array.tiling import check_array, start_spacing, swap_time
from amhw.array.widths import Widths
from amhw.multiplier import Multiplier


class SystolicArray(wiring.Component):
    """The weight-stationary array: s_j = Σ_i T(a_i, w_ij), `latency` cycles after `a`.

    A column has `lanes` = rows / depth elements. Weights are double-buffered: while the present ones are used, the next
    ones are preloaded in `lanes` cycles with `w_load` high, those of element row 0 first. A high `swap` in the cycle of
    an activation vector puts them to use, for this vector and all later ones. Preloading may begin again `swap_time`
    cycles after a swap, when the last element has swapped.

    Args:
        multiplier: T.
        widths: of its table.
        rows, cols: of weights.
        depth: rows in one element.
        gates: of the elements, as for `ProcessingElement`.

    Members:
        a: In, `rows` packed activations, row 0 lowest.
        swap: In.
        is_open: In, for this vector; only where there are gates.
        w: In, for each column `depth` packed weights.
        w_load: In.
        s: Out, a sum for each column in units of 2^widths.shift.
    """

    def __init__(
        self,
        multiplier: Multiplier,
        widths: Widths,
        rows: int,
        cols: int,
        depth: int = 1,
        gates: Sequence[Rows] = (),
    ) -> None:
        check_array(rows, cols, depth)
        self.multiplier = multiplier
        self.widths = widths
        self.rows = rows
        self.cols = cols
        self.depth = depth
        self.gates = tuple(gates)
        self.elements: list[ProcessingElement] = []
        """One for each element row: sums grow from row to row, and rows of equal widths share one."""
        kinds: dict[tuple[int, int], ProcessingElement] = {}
        for terms in range(0, rows, depth):
            key = widths.sum_width(terms), widths.sum_width(terms + depth)
            if key not in kinds:
                kinds[key] = ProcessingElement(multiplier, widths, depth, terms, gates)
            self.elements.append(kinds[key])
        super().__init__(
            {
                "a": In(rows * len(widths.bits_a)),
                "swap": In(1),
                "w": In(data.ArrayLayout(depth * len(widths.bits_b), cols)),
                "w_load": In(1),
                "s": Out(data.ArrayLayout(sum_shape(widths, rows), cols)),
                **({"is_open": In(len(gates))} if gates else {}),
            }
        )

    @property
    def lanes(self) -> int:
        """Elements in a column, and cycles that preloading takes."""
        return self.rows // self.depth

    @property
    def latency(self) -> int:
        """Cycles from `a` to `s`."""
        return self.lanes + self.cols

    @property
    def swap_time(self) -> int:
        """Cycles after a swap during which `w_load` must be low."""
        return swap_time(self.lanes, self.cols)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        read_a = self.depth * len(self.widths.bits_a)
        wide_a, wide_b = self.elements[0].packed_a, self.elements[0].packed_b
        swaps = flag_line(m, self.swap, self.lanes + self.cols - 2, "flag_line")
        is_open = delay_line(m, self.is_open, self.lanes + self.cols - 1, "is_open") if self.gates else []
        weights = [[Signal(wide_b, name=f"w_{i}_{j}") for j in range(self.cols)] for i in range(self.lanes)]
        incoming = [at_edge(m, self.multiplier, self.widths, self.w[j], "b", f"w_{j}") for j in range(self.cols)]
        sums: list[Value] = [Signal(0) for _ in range(self.cols)]
        for i, element in enumerate(self.elements):
            skewed = delayed(m, self.a[i * read_a : (i + 1) * read_a], i, f"skew_{i}")
            activation: Value = at_edge(m, self.multiplier, self.widths, skewed, "a", f"a_{i}")
            for j in range(self.cols):
                passed = Signal(wide_a, name=f"a_{i}_{j}")
                result = Signal(len(element.s_out), name=f"s_{i}_{j}")
                ports = {
                    "i_clk": ClockSignal(),
                    "i_a_in": activation,
                    "o_a_out": passed,
                    "i_swap": swaps[i + j],
                    "i_w_load": self.w_load,
                    "i_w_in": incoming[j] if i == self.lanes - 1 else weights[i + 1][j],
                    "o_w_out": weights[i][j],
                    "o_s_out": result,
                }
                if element.terms:
                    ports["i_s_in"] = sums[j]
                if self.gates:
                    ports["i_is_open"] = is_open[i + j]
                m.submodules[f"pe_{i}_{j}"] = Instance(element.name, **ports)
                activation, sums[j] = passed, result
        for j in range(self.cols):
            m.d.comb += self.s[j].eq(delayed(m, sums[j], self.cols - 1 - j, f"deskew_{j}"))
        return m


class OutputStationaryArray(wiring.Component):
    """The output-stationary array: c_ij = Σ_k T(a_ik, b_kj), `depth` values of k a cycle.

    A sum begins with the operands in a cycle with a high `start`, which also sends out the previous sums: those of
    row i, all columns side by side, are at `c` exactly latency + 2·i cycles later. Two starts are at least `spacing`
    cycles apart. Operands between the last of one sum and the next start are 0.

    Args:
        multiplier: T.
        widths: of its table.
        rows, cols: of sums.
        terms: products in a sum.
        depth: operand pairs in one element.

    Members:
        a: In, for each row `depth` packed operands.
        b: In, for each column `depth` packed operands.
        start: In.
        c: Out, a sum for each column in units of 2^widths.shift.
    """

    def __init__(
        self, multiplier: Multiplier, widths: Widths, rows: int, cols: int, terms: int, depth: int = 1
    ) -> None:
        check_array(rows, cols, 1)
        self.multiplier = multiplier
        self.widths = widths
        self.rows = rows
        self.cols = cols
        self.depth = depth
        self.elements = [OutputElement(multiplier, widths, depth, terms)]
        super().__init__(
            {
                "a": In(data.ArrayLayout(depth * len(widths.bits_a), rows)),
                "b": In(data.ArrayLayout(depth * len(widths.bits_b), cols)),
                "start": In(1),
                "c": Out(data.ArrayLayout(sum_shape(widths, terms), cols)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a start to the sums of row 0 that it sends out."""
        return self.cols + 1

    @property
    def spacing(self) -> int:
        """Cycles from one start to the next, at least: a row leaves every other cycle."""
        return start_spacing(self.rows)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        (element,) = self.elements
        starts = flag_line(m, self.start, self.rows + self.cols - 1, "flag_line")
        leaving = [[Signal(len(element.d_out), name=f"d_{i}_{j}") for j in range(self.cols)] for i in range(self.rows)]
        downwards: list[Value] = [
            at_edge(m, self.multiplier, self.widths, delayed(m, self.b[j], j, f"skew_b_{j}"), "b", f"b_{j}")
            for j in range(self.cols)
        ]
        for i in range(self.rows):
            skewed = delayed(m, self.a[i], i, f"skew_a_{i}")
            activation: Value = at_edge(m, self.multiplier, self.widths, skewed, "a", f"a_{i}")
            for j in range(self.cols):
                passed_a = Signal(element.packed_a, name=f"a_{i}_{j}")
                passed_b = Signal(element.packed_b, name=f"b_{i}_{j}")
                m.submodules[f"pe_{i}_{j}"] = Instance(
                    element.name,
                    i_clk=ClockSignal(),
                    i_a_in=activation,
                    o_a_out=passed_a,
                    i_b_in=downwards[j],
                    o_b_out=passed_b,
                    i_start=starts[i + j + 1],
                    i_d_in=leaving[i + 1][j] if i + 1 < self.rows else Const(0, len(element.d_in)),
                    o_d_out=leaving[i][j],
                )
                activation, downwards[j] = passed_a, passed_b
        for j in range(self.cols):
            m.d.comb += self.c[j].eq(delayed(m, leaving[0][j], self.cols - 1 - j, f"deskew_{j}"))
        return m
