"""Memories of weights and biases, which the configuration stream writes."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import Memory, ReadPort

from amhw.array.delay import delayed_flag
from amhw.array.element import pack
from amhw.array.mesh import SystolicArray
from amhw.array.plan import FETCH, ConvPlan


def weights(m: Module, plan: ConvPlan, config: Any) -> ReadPort:
    """Read port of the weights."""
    bits_b = plan.widths.bits_b
    lanes = plan.cols * plan.depth
    words = plan.weight_words.reshape(-1, lanes)
    init = [sum(_packed_code(int(code), bits_b) << (k * len(bits_b)) for k, code in enumerate(word)) for word in words]
    m.submodules.weights = memory = Memory(shape=unsigned(lanes * len(bits_b)), depth=len(init), init=init)
    read, write = memory.read_port(), memory.write_port(granularity=len(bits_b))
    is_bias = config.payload[63]
    lane_bits = lane_bits_of(lanes)
    address = config.payload[32:63]
    m.d.comb += [
        config.ready.eq(1),
        write.addr.eq(address[lane_bits:][: len(write.addr)]),
        write.data.eq(pack(config.payload[: plan.table.width_b], bits_b).replicate(lanes)),
        write.en.eq(Mux(config.valid & ~is_bias, Const(1) << address[:lane_bits], 0)),
    ]
    return read


def biases(m: Module, plan: ConvPlan, config: Any) -> ReadPort:
    """Read port of the biases."""
    width = plan.bias_width
    words = plan.bias_words
    init = [sum((int(b) & ((1 << width) - 1)) << (k * width) for k, b in enumerate(word)) for word in words]
    m.submodules.bias = memory = Memory(shape=unsigned(plan.requantisers * width), depth=len(init), init=init)
    read, write = memory.read_port(), memory.write_port(granularity=width)
    lane_bits = lane_bits_of(plan.requantisers)
    address = config.payload[32:63]
    m.d.comb += [
        write.addr.eq(address[lane_bits:][: len(write.addr)]),
        write.data.eq(config.payload[:width].replicate(plan.requantisers)),
        write.en.eq(Mux(config.valid & config.payload[63], Const(1) << address[:lane_bits], 0)),
    ]
    return read


def preloaded(m: Module, plan: ConvPlan, array: SystolicArray, read: ReadPort, swap: Value) -> Value:
    """Preload the weights of one tile after the other; high while the next tile's are in the array."""
    fetched = Signal(range(plan.lanes + 1))
    wait = Signal(range(array.swap_time + FETCH + 1))
    fetch = Signal()
    words = len(plan.weight_words)
    address_now = Signal(range(words))
    ready = Signal()
    m.d.comb += [
        fetch.eq((fetched != plan.lanes) & (wait == 0)),
        read.addr.eq(address_now),
        ready.eq(fetched == plan.lanes),
        array.w_load.eq(delayed_flag(m, fetch)),
        Value.cast(array.w).eq(read.data),
    ]
    with m.If(wait != 0):
        m.d.sync += wait.eq(wait - 1)
    with m.If(fetch):
        m.d.sync += [fetched.eq(fetched + 1), address_now.eq(address_now + 1)]
        with m.If(address_now == words - 1):
            m.d.sync += address_now.eq(0)
    with m.If(swap):
        m.d.sync += [fetched.eq(0), wait.eq(array.swap_time + FETCH)]
    return ready


def _packed_code(code: int, bits: Sequence[int]) -> int:
    return sum((code >> bit & 1) << k for k, bit in enumerate(bits))


def lane_bits_of(lanes: int) -> int:
    """Of an address: those that say which lane of a word."""
    return max(1, (lanes - 1).bit_length())
