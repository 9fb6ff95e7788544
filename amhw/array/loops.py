"""Nested loops as counters."""

from collections.abc import Mapping

from amaranth.hdl import Const, Module, Signal, Value


class Loops:
    """Counters like the digits of a number, innermost first; they advance while `step` is high.

    A loop that never has more than one round takes no register.

    Attributes:
        index: each loop's counter, from 0.
        last: high while a loop is in its last round.
        all_last: high in the very last round of all loops, after which everything starts again.
    """

    def __init__(self, m: Module, step: Value, rounds: Mapping[str, int | tuple[Value, int]], prefix: str = "") -> None:
        """`rounds` of each loop: a constant, or a value and its greatest possible value."""
        self.index: dict[str, Value] = {}
        self.last: dict[str, Value] = {}
        carry = step
        done: Value = Const(1)
        for name, given in rounds.items():
            limit, most = (Const(given), given) if isinstance(given, int) else given
            if most == 1:
                self.index[name], self.last[name] = Const(0, 1), Const(1, 1)
                continue
            index = self.index[name] = Signal(range(max(most, 2)), name=f"{prefix}{name}")
            last = self.last[name] = Signal(name=f"{prefix}{name}_last")
            m.d.comb += last.eq(index == (limit - 1)[: len(index)])
            with m.If(carry):
                m.d.sync += index.eq(index + 1)
                with m.If(last):
                    m.d.sync += index.eq(0)
            carry = carry & last
            done = done & last
        self.all_last = done
