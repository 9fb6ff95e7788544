"""Rotation: what lies in banks in turn comes to the place that a window has for it."""

from amaranth.hdl import Module, Signal, Value


def rotated(m: Module, name: str, items: list[list[Value]], by: Value) -> list[list[Value]]:
    """The list, rotated left by `by` entries; entries are lists of equal length."""
    count = len(items)
    turned = [[Signal(len(v), name=f"{name}_{k}_{n}") for n, v in enumerate(item)] for k, item in enumerate(items)]
    with m.Switch(by):
        for first in range(count):
            with m.Default() if first == count - 1 else m.Case(first):
                for k in range(count):
                    m.d.comb += [out.eq(v) for out, v in zip(turned[k], items[(k + first) % count], strict=True)]
    return [list(item) for item in turned]
