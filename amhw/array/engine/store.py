"""Where words of codes go: from bank to bank with the positions of a map, or with the words of a vector."""

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amhw.array.program import Sizes
from amhw.array.widths import width_of


class Store(wiring.Component):
    """The place of one word after another, in the clock in which its columns enter the requantisers.

    Args:
        sizes: of the engine.

    Members:
        record: In, `amhw.array.records.Finish`.
        load: In, an operation begins; `slot`: address of the image's slot.
        start: In, the window's first word; with it `first`, `row_ends`, `group_ends`: what the window is.
        active, last_phase: In, a word; the last one of its window.
        bank_y, bank_x, to: Out, its place.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        height, width = sizes.config.window
        self.address_bits = max(width_of(0, sizes.words - 1), width_of(0, sizes.results - 1))
        super().__init__(
            {
                "record": In(sizes.finish.width),
                "load": In(1),
                "slot": In(range(sizes.words)),
                "start": In(1),
                "first": In(1),
                "row_ends": In(1),
                "group_ends": In(1),
                "active": In(1),
                "last_phase": In(1),
                "bank_y": Out(range(height)),
                "bank_x": Out(range(width)),
                "to": Out(self.address_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes = self._sizes
        now = sizes.finish.view(self.record)
        height, width = sizes.config.window
        bits = self.address_bits

        def place(name: str) -> tuple[Signal, Signal, Signal]:
            return (
                Signal(bits, name=name),
                Signal(range(height), name=f"{name}_y"),
                Signal(range(width), name=f"{name}_x"),
            )

        def put(target: tuple[Signal, ...], source: tuple[Value, ...]) -> list[object]:
            return [ours.eq(theirs) for ours, theirs in zip(target, source, strict=True)]

        word, window, row, group = (place(name) for name in ("word", "window", "row", "group"))
        flags = {}
        for name, flag in (("first", self.first), ("row_ends", self.row_ends), ("group_ends", self.group_ends)):
            kept = Signal(name=f"kept_{name}")
            with m.If(self.start):
                m.d.sync += kept.eq(flag)
            flags[name] = Mux(self.start, flag, kept)

        # The word after this one: in the next bank of a vector, or in the next plane of a map.
        further = place("further")
        across, down = word[2] == width - 1, word[1] == height - 1
        m.d.comb += put(further, (word[0] + now.pitch, word[1], word[2]))
        with m.If(now.vector):
            m.d.comb += put(
                further,
                (
                    word[0] + (across & down),
                    Mux(across, Mux(down, 0, word[1] + 1), word[1]),
                    Mux(across, 0, word[2] + 1),
                ),
            )
        # The next window's first word.
        beside = place("beside")
        edge = window[2] == width - 1
        m.d.comb += put(beside, (window[0] + edge, window[1], Mux(edge, 0, window[2] + 1)))
        with m.If(now.vector | now.batched):
            m.d.comb += put(beside, (window[0] + now.step, window[1], window[2]))
        below = place("below")
        bottom = row[1] == height - 1
        m.d.comb += put(below, (row[0] + Mux(bottom, now.row_pitch, 0), Mux(bottom, 0, row[1] + 1), Const(0, 1)))
        after = place("after")
        m.d.comb += put(after, tuple(Mux(flags["first"], f, g) for f, g in zip(further, group, strict=True)))

        with m.If(self.active):
            m.d.sync += put(word, further)
            with m.If(self.last_phase):
                with m.If(flags["first"]):
                    m.d.sync += put(group, further)
                with m.If(~flags["row_ends"]):
                    m.d.sync += [*put(word, beside), *put(window, beside)]
                with m.Elif(~flags["group_ends"]):
                    m.d.sync += [*put(word, below), *put(window, below), *put(row, below)]
                with m.Else():
                    m.d.sync += [*put(word, after), *put(window, after), *put(row, after)]
        begin = (now.base + Mux(now.slot, self.slot, 0), now.bank, Const(0, 1))
        with m.If(self.load):
            m.d.sync += [*put(word, begin), *put(window, begin), *put(row, begin)]
        m.d.comb += [self.to.eq(word[0]), self.bank_y.eq(word[1]), self.bank_x.eq(word[2])]
        return m
