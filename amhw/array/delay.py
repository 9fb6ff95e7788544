"""Delay lines: a value as it was some cycles ago.

Data registers are not reset, because a flag beside them says whether they are valid. Flags are reset to low.
"""

from amaranth.hdl import Cat, Module, Signal, Value


def delay_line(m: Module, value: Value, cycles: int, name: str, *, reset_less: bool = True) -> list[Signal]:
    """The value 1, 2, … `cycles` cycles ago."""
    line: list[Signal] = []
    for k in range(cycles):
        register = Signal(len(Value.cast(value)), name=f"{name}_{k}", reset_less=reset_less)
        m.d.sync += register.eq(line[-1] if line else value)
        line.append(register)
    return line


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """The value `cycles` cycles ago; itself for 0."""
    return [value, *delay_line(m, value, cycles, name)][-1]


def flag_line(m: Module, flag: Value, cycles: int, name: str) -> list[Value]:
    """A flag now and 1, 2, … `cycles` cycles ago."""
    if cycles == 0:
        return [flag]
    line = Signal(cycles, name=name)
    m.d.sync += line.eq(Cat(flag, line)[:cycles])
    return [flag, *line]


def delayed_flag(m: Module, flag: Value) -> Signal:
    """A flag one cycle ago."""
    register = Signal(name="flag_later")
    m.d.sync += register.eq(flag)
    return register
