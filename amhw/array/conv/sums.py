"""Partial sums of each position, kept between input channels."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib.memory import Memory

from amhw.array.delay import delayed, delayed_flag
from amhw.array.element import sum_shape
from amhw.array.loops import Loops
from amhw.array.mesh import SystolicArray
from amhw.array.plan import ConvPlan


def summed(m: Module, plan: ConvPlan, array: SystolicArray, coming: Value, retire: Loops) -> list[Signal]:
    """Partial sums over the input channels so far, one cycle after the array's sums (two after `coming`)."""
    shape = sum_shape(plan.widths, plan.terms)
    width = shape.width
    depth = max((layer.positions for layer in plan.layers if layer.channels > 1), default=1)
    place = Signal(range(max(depth, 2)))
    with m.If(coming & retire.index["layer"]):
        m.d.sync += place.eq(place + 1)
        with m.If(retire.last["sub"] & retire.last["px"] & retire.last["py"]):
            m.d.sync += place.eq(0)
    m.submodules.partial = memory = Memory(shape=unsigned(width * plan.cols), depth=max(depth, 2), init=[])
    read, write = memory.read_port(), memory.write_port()
    fresh = delayed_flag(m, retire.index["channel"] == 0)
    totals = [Signal(shape, name=f"total_{j}", reset_less=True) for j in range(plan.cols)]
    totals_now = []
    for j in range(plan.cols):
        stored = (read.data[j * width : (j + 1) * width] & (~fresh).replicate(width)).as_signed()
        now = Signal(shape, name=f"total_now_{j}")
        m.d.comb += now.eq(stored + array.s[j])
        m.d.sync += totals[j].eq(now)
        totals_now.append(now)
    m.d.comb += [
        read.addr.eq(place),
        write.addr.eq(delayed(m, place, 1, "place")),
        write.data.eq(Cat(*totals_now)),
        write.en.eq(delayed_flag(m, coming & ~retire.last["channel"])),
    ]
    return totals
