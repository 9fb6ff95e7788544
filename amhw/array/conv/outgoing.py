"""Output maps, double-buffered, and the stream that sends them."""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory

from amhw.array.conv.requantise import Write, lane_enables, lane_of
from amhw.array.delay import delayed, delayed_flag
from amhw.array.loops import Loops
from amhw.array.plan import ConvPlan
from amhw.array.queue import CreditQueue

QUEUE = 4
"""Depth of the output queue: enough for the reads that are in flight when the receiver stalls."""


def sent(m: Module, plan: ConvPlan, write: Write, whole: Value, code_bits: int, codes: Any) -> Value:
    """The double-buffered output maps and the stream that sends them; high when a buffer has been read out."""
    layer = plan.layers[1]
    places = layer.pooled**2
    m.submodules.outgoing = memory = Memory(shape=data.ArrayLayout(code_bits, layer.outputs), depth=2 * places, init=[])
    read, port = memory.read_port(), memory.write_port(granularity=1)
    filling = Signal()
    sending = Signal()
    waiting = Signal(range(3))
    m.d.comb += [
        port.addr.eq(Mux(filling, places, 0) + write.py * layer.pooled + write.px),
        port.en.eq(Cat(*(enable & write.valid & write.layer for enable in lane_enables(plan, write, layer)))),
        Value.cast(port.data).eq(Cat(*(lane_of(plan, write, channel) for channel in range(layer.outputs)))),
    ]
    m.submodules.queue = queue = CreditQueue(codes.payload.shape(), QUEUE)
    take = Signal()
    done = Signal()
    order = Loops(m, take, {"place": places, "channel": layer.outputs}, "send_")
    channel = delayed(m, order.index["channel"], 1, "sent_channel")
    wiring.connect(m, queue.output, wiring.flipped(codes))
    m.d.comb += [
        take.eq((waiting != 0) & queue.room),
        read.addr.eq(Mux(sending, places, 0) + order.index["place"]),
        done.eq(take & order.all_last),
        queue.reserve.eq(take),
        queue.push.eq(delayed_flag(m, take)),
        queue.word.data.eq(Array(read.data[k] for k in range(layer.outputs))[channel]),
        queue.word.last.eq(delayed_flag(m, order.all_last)),
    ]
    m.d.sync += [
        waiting.eq(waiting + whole - done),
        filling.eq(filling ^ whole),
        sending.eq(sending ^ done),
    ]
    return done
