"""Images come in: pixels become codes and go to their places in one of two buffers."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.loops import Loops
from amhw.array.program import Sizes
from amhw.array.widths import width_of

PIXEL_BITS = 8


class Receiver(wiring.Component):
    """One image after another, by channel, row and column; `last` before the last pixel drops the image so far.

    Args:
        sizes: of the engine.

    Members:
        image: In, stream of pixels; ready comes from registers, as long as `allow` does.
        setup: In, `amhw.array.records.Setup`.
        allow: In, low where the activation memory's write port is taken.
        release: In, the older image is not needed any more.
        images: Out, how many whole ones are there.
        partial: Out, some pixels of another one are.
        buffer: Out, address of the older one.
        write, lane, bank_y, bank_x, to, code: Out, of a pixel.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        height, width = sizes.config.window
        pixel = data.StructLayout({"data": PIXEL_BITS, "last": 1})
        super().__init__(
            {
                "image": In(stream.Signature(pixel)),
                "setup": In(sizes.setup.width),
                "allow": In(1),
                "release": In(1),
                "images": Out(range(3)),
                "partial": Out(1),
                "buffer": Out(range(sizes.words)),
                "write": Out(1),
                "lane": Out(range(max(2, sizes.config.requantisers))),
                "bank_y": Out(range(height)),
                "bank_x": Out(range(width)),
                "to": Out(range(sizes.words)),
                "code": Out(PIXEL_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, most = self._sizes, self._sizes.setup.most
        now = sizes.setup.view(self.setup)
        height, width = sizes.config.window
        taken, whole, dropped = Signal(), Signal(), Signal()
        m.d.comb += [
            self.image.ready.eq((self.images != 2) & self.allow),
            taken.eq(self.image.valid & self.image.ready),
        ]
        filling, reading = Signal(), Signal()
        m.d.sync += [
            self.images.eq(self.images + whole - self.release),
            filling.eq(filling ^ whole),
            reading.eq(reading ^ self.release),
        ]
        m.d.comb += self.buffer.eq(Mux(reading, now.image, 0))

        # Where the pixel belongs: banks and addresses follow the coordinates.
        walk = Loops(
            m,
            taken,
            {
                "x": (now.width, most("width")),
                "y": (now.height, most("height")),
                "channel": (now.channels, most("channels")),
            },
        )
        bits = width_of(0, sizes.words - 1)
        plane, row, across = (Signal(bits, name=name) for name in ("plane", "row", "across"))
        bank_y, bank_x = Signal(range(height), name="in_row"), Signal(range(width), name="in_column")
        lane = Signal(range(max(2, sizes.config.requantisers)), name="in_lane")
        with m.If(taken):
            m.d.sync += bank_x.eq(bank_x + 1)
            with m.If(bank_x == width - 1):
                m.d.sync += [bank_x.eq(0), across.eq(across + 1)]
            with m.If(walk.last["x"]):
                m.d.sync += [bank_x.eq(0), across.eq(0), bank_y.eq(bank_y + 1)]
                with m.If(bank_y == height - 1):
                    m.d.sync += [bank_y.eq(0), row.eq(row + now.row_pitch)]
                with m.If(walk.last["y"]):
                    m.d.sync += [bank_y.eq(0), row.eq(0), lane.eq(lane + 1)]
                    with m.If(lane == sizes.config.requantisers - 1):
                        m.d.sync += [lane.eq(0), plane.eq(plane + now.pitch)]
                    with m.If(walk.last["channel"]):
                        m.d.sync += [lane.eq(0), plane.eq(0)]
        with m.If(dropped):
            m.d.sync += [signal.eq(0) for signal in (bank_x, across, bank_y, row, lane, plane)]
            m.d.sync += [index.eq(0) for index in walk.index.values() if isinstance(index, Signal)]
        m.d.comb += [
            whole.eq(taken & walk.all_last),
            dropped.eq(taken & self.image.payload.last & ~walk.all_last),
            self.partial.eq(Cat(*walk.index.values()) != 0),
            self.write.eq(taken),
            self.lane.eq(lane),
            self.bank_y.eq(bank_y),
            self.bank_x.eq(bank_x),
            self.to.eq(plane + row + across + Mux(filling, now.image, 0)),
        ]

        # min((pixel + half) >> shift + rounding, highest)
        pixel = self.image.payload.data
        rounded = Signal(PIXEL_BITS + 2)
        by_shift: list[tuple[int, Value]] = [
            (shift, (pixel + ((1 << shift) >> 1)) >> shift)
            for shift in range(sizes.setup.ranges["pixel_shift"][0], most("pixel_shift") + 1)
        ]
        shifted = by_shift[0][1]
        for shift, value in by_shift[1:]:
            shifted = Mux(now.pixel_shift == shift, value, shifted)
        m.d.comb += [
            rounded.eq(shifted + now.pixel_rounding),
            self.code.eq(Mux(rounded > now.pixel_highest, now.pixel_highest, rounded)),
        ]
        return m
