"""Images come in: pixels become codes and go to their banks in one of two buffers."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib.memory import ReadPort

from amhw.array.conv.banks import banks, places_of
from amhw.array.element import pack
from amhw.array.plan import ConvPlan


def received(m: Module, plan: ConvPlan, image: Any, release: Value) -> tuple[Signal, list[list[ReadPort]], Signal]:
    """The double-buffered image memory: how many whole images it holds, its read ports, the buffer to read from."""
    side = plan.image_side
    layer = plan.convolutions[0]
    reads, writes = banks(m, "image", plan.kernel, side, unsigned(len(plan.widths.bits_a)), 2)
    images = Signal(range(3))
    filling = Signal()
    reading = Signal()
    taken = Signal()
    whole = Signal()
    m.d.comb += [image.ready.eq(images != 2), taken.eq(image.valid & image.ready)]
    x = Signal(range(side))
    y = Signal(range(side))
    m.d.comb += whole.eq(taken & (x == side - 1) & (y == side - 1))
    with m.If(taken):
        m.d.sync += x.eq(x + 1)
        with m.If(x == side - 1):
            m.d.sync += [x.eq(0), y.eq(y + 1)]
        with m.If(whole | image.payload.last):
            m.d.sync += [x.eq(0), y.eq(0)]
    m.d.sync += [
        images.eq(images + whole - release),
        filling.eq(filling ^ whole),
        reading.eq(reading ^ release),
    ]

    # min((pixel + half) >> unused, maximum), then the rounding constant, saturating: once, before it is stored.
    unused = 8 - layer.operands.activation_bits
    limit = layer.operands.activation_max
    rounded = Signal(10)
    code = Signal(layer.operands.activation_bits)
    m.d.comb += rounded.eq((image.payload.data + ((1 << unused) >> 1)).shift_right(unused) + layer.input_rounding)
    m.d.comb += code.eq(Mux(rounded > limit, limit, rounded))
    place_y, place_x = places_of(m, "pixel_y", y, side, plan.kernel), places_of(m, "pixel_x", x, side, plan.kernel)
    per_bank = -(-side // plan.kernel)
    address = Signal(range(2 * per_bank**2))
    m.d.comb += address.eq(Mux(filling, per_bank**2, 0) + place_y.quotient * per_bank + place_x.quotient)
    for row in range(plan.kernel):
        for column in range(plan.kernel):
            port = writes[row][column]
            m.d.comb += [
                port.addr.eq(address),
                port.data.eq(pack(code, plan.widths.bits_a)),
                port.en.eq(taken & (place_y.remainder == row) & (place_x.remainder == column)),
            ]
    return images, reads, reading
