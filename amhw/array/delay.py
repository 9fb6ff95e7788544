"""Registers in a row: a value as it was some clocks ago.

Data are not reset, because whatever comes with them says whether they count. Flags are, and are low after reset.
"""

from amaranth.hdl import Cat, Module, Signal, Value


def delay_line(m: Module, value: Value, clocks: int, name: str, *, reset_less: bool = True) -> list[Signal]:
    """The value 1, 2, … `clocks` clocks ago."""
    line: list[Signal] = []
    for k in range(clocks):
        register = Signal(len(Value.cast(value)), name=f"{name}_{k}", reset_less=reset_less)
        m.d.sync += register.eq(line[-1] if line else value)
        line.append(register)
    return line


def delayed(m: Module, value: Value, clocks: int, name: str) -> Value:
    """The value `clocks` clocks ago; itself for 0."""
    return [value, *delay_line(m, value, clocks, name)][-1]


def flag_line(m: Module, flag: Value, clocks: int, name: str) -> list[Value]:
    """A flag now and 1, 2, … `clocks` clocks ago."""
    if clocks == 0:
        return [flag]
    line = Signal(clocks, name=name)
    m.d.sync += line.eq(Cat(flag, line)[:clocks])
    return [flag, *line]


def delayed_flag(m: Module, flag: Value) -> Signal:
    """A flag one clock ago."""
    register = Signal(name="flag_later")
    m.d.sync += register.eq(flag)
    return register
