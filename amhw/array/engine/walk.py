"""The loops over output positions, and the window's corner at each."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amhw.array.loops import Loops
from amhw.array.program import Sizes
from amhw.array.widths import width_of


class Walk(wiring.Component):
    """One output position after another: its window's corner, its remainders, and which taps are in the map.

    Outputs are of the present position and change in the clock after a high `step`.

    Args:
        sizes: of the engine.

    Members:
        record: In, the operation's `amhw.array.records.Fetch`.
        load: In, begin it.
        step: In, to the next position.
        images: In, in the batch.
        first, last: Out, the position is the first, the last, of its tile.
        last_tile: Out, no other set of weights follows.
        complete: Out, the position's sums are complete after this tile.
        address: Out, of the corner, without image or slot.
        remainder_y, remainder_x: Out, of the corner.
        inside_y, inside_x: Out, for each row and column of the window.
        lane: Out, channels of the word.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        height, width = sizes.config.window
        self.address_bits = width_of(0, sizes.words - 1)
        super().__init__(
            {
                "record": In(sizes.fetch.width),
                "load": In(1),
                "step": In(1),
                "images": In(range(sizes.batch + 1)),
                "first": Out(1),
                "last": Out(1),
                "last_tile": Out(1),
                "complete": Out(1),
                "address": Out(self.address_bits),
                "remainder_y": Out(range(height)),
                "remainder_x": Out(range(width)),
                "inside_y": Out(height),
                "inside_x": Out(width),
                "lane": Out(range(max(2, sizes.fetch.most("lanes")))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, most = self._sizes, self._sizes.fetch.most
        now = sizes.fetch.view(self.record)
        height, width = sizes.config.window
        columns = Mux(now.batched, self.images, now.columns) if most("batched") else now.columns
        within = Loops(
            m,
            self.step,
            {
                "pool_x": (now.pool_x, most("pool_x")),
                "pool_y": (now.pool_y, most("pool_y")),
                "columns": (columns, max(most("columns"), sizes.batch if most("batched") else 1)),
                "rows": (now.rows, most("rows")),
            },
        )
        last = within.last
        tile_ends = Signal()
        m.d.comb += tile_ends.eq(self.step & within.all_last)
        outside = Loops(
            m,
            tile_ends,
            {
                "parts_x": (now.parts_x, most("parts_x")),
                "parts_y": (now.parts_y, most("parts_y")),
                "channels": (now.channels, most("channels")),
                "groups": (now.groups, most("groups")),
            },
        )
        m.d.comb += [
            self.first.eq(Cat(within.index.values()) == 0),
            self.last.eq(within.all_last),
            self.last_tile.eq(outside.all_last),
            self.complete.eq(outside.last["parts_x"] & outside.last["parts_y"] & outside.last["channels"]),
        ]

        y, x = self._axis("y", now), self._axis("x", now)
        with m.If(self.step):
            with m.If(~last["pool_x"]):
                m.d.sync += x.inside()
            with m.Elif(~last["pool_y"]):
                m.d.sync += [x.back(), y.inside()]
            with m.Elif(~last["columns"]):
                m.d.sync += [x.onward(), y.back()]
            with m.Elif(~last["rows"]):
                m.d.sync += [x.restart(), y.onward()]
            with m.Else():
                m.d.sync += [x.restart(), y.restart()]
        with m.If(self.load):
            m.d.sync += [x.restart(), y.restart()]

        place, part_y, part_x = self._place(m, now, tile_ends, outside)
        m.d.comb += [
            self.address.eq((place + y.address + x.address)[: self.address_bits]),
            self.remainder_y.eq(y.remainder),
            self.remainder_x.eq(x.remainder),
        ]
        for axis, part, side, size, inside in (
            (y, part_y, height, now.height, self.inside_y),
            (x, part_x, width, now.width, self.inside_x),
        ):
            for tap in range(side):
                at = axis.coordinate + part + tap
                m.d.comb += inside[tap].eq((at >= 0) & (at < size))
        return m

    def _axis(self, name: str, now: Any) -> "_Axis":
        sizes = self._sizes
        side = sizes.config.window["yx".index(name)]
        pitch = now.row_pitch if name == "y" else 1
        moves = {
            step: tuple(getattr(now, f"{step}_{name}_{part}") for part in ("remainder", "address", "coordinate"))
            for step in ("start", "inner", "outer")
        }
        low = sizes.fetch.ranges[f"start_{name}_coordinate"][0]
        high = sizes.fetch.most("height" if name == "y" else "width") + max(
            sizes.fetch.most(f"outer_{name}_coordinate"), sizes.fetch.most(f"inner_{name}_coordinate")
        )
        pooled = sizes.fetch.most(f"pool_{name}") > 1
        return _Axis(name, side, pitch, moves, self.address_bits, width_of(min(low, -1), high), pooled)

    def _place(self, m: Module, now: Any, tile_ends: Value, outside: Loops) -> tuple[Value, Value, Value]:
        """The address of the channels' plane and the kernel's part, and the part's first row and column."""
        height, width = self._sizes.config.window
        most, last = self._sizes.fetch.most, outside.last
        plane = Signal(self.address_bits)
        row, place = plane, plane
        next_plane = Signal(self.address_bits)
        m.d.comb += next_plane.eq(plane + now.pitch)
        lane = Signal(range(max(2, most("lanes"))))
        m.d.comb += self.lane.eq(lane)
        part_y = part_x = Signal(1, name="no_part")
        if most("parts_y") > 1:
            row = Signal(self.address_bits, name="part_row")
            part_y = Signal(range(height * most("parts_y")))
        if most("parts_x") > 1:
            place = Signal(self.address_bits, name="part_column")
            part_x = Signal(range(width * most("parts_x")))
        else:
            place = row

        def begin(address: Value) -> list[Any]:
            return [register.eq(address) for register in {id(s): s for s in (plane, row, place)}.values()]

        down = (row + now.row_pitch)[: self.address_bits]
        with m.If(tile_ends):
            with m.If(~last["parts_x"]):
                m.d.sync += [place.eq(place + 1), part_x.eq(part_x + width)]
            with m.Else():
                m.d.sync += part_x.eq(0)
                with m.If(~last["parts_y"]):
                    m.d.sync += [place.eq(down), row.eq(down), part_y.eq(part_y + height)]
                with m.Else():
                    m.d.sync += part_y.eq(0)
                    with m.If(last["channels"]):
                        m.d.sync += [*begin(now.base), lane.eq(0)]
                    with m.Elif(lane == now.lanes - 1):
                        m.d.sync += [*begin(next_plane), lane.eq(0)]
                    with m.Else():
                        m.d.sync += [*begin(plane), lane.eq(lane + 1)]
        with m.If(self.load):
            m.d.sync += [*begin(now.base), lane.eq(0), part_x.eq(0), part_y.eq(0)]
        return place, part_y, part_x


class _Axis:
    """The corner along one axis: where it is, and where its pooling window began."""

    def __init__(
        self,
        name: str,
        side: int,
        pitch: Value | int,
        moves: dict[str, tuple[Value, Value, Value]],
        address_bits: int,
        coordinate_bits: int,
        pooled: bool,
    ) -> None:
        self._side, self._pitch, self._moves = side, pitch, moves

        def registers(which: str) -> tuple[Signal, Signal, Signal]:
            return (
                Signal(range(side), name=f"{which}_{name}_remainder"),
                Signal(address_bits, name=f"{which}_{name}_address"),
                Signal(signed(coordinate_bits), name=f"{which}_{name}_coordinate"),
            )

        self._begun = registers("begun")
        self._now = registers("at") if pooled else self._begun
        self.remainder, self.address, self.coordinate = self._now

    def _moved(self, place: tuple[Signal, Signal, Signal], step: str) -> tuple[Value, Value, Value]:
        remainder, address, coordinate = place
        by = self._moves[step]
        total = remainder + by[0]
        carry = total >= self._side
        further = address + by[1] + Mux(carry, self._pitch, 0)
        return Mux(carry, total - self._side, total), further[: len(address)], coordinate + by[2]

    def _set(self, place: tuple[Value, ...], *targets: tuple[Signal, ...]) -> list[Any]:
        return [signal.eq(value) for target in targets for signal, value in zip(target, place, strict=True)]

    def inside(self) -> list[Any]:
        """To the next position within the pooling window."""
        return self._set(self._moved(self._now, "inner"), self._now)

    def back(self) -> list[Any]:
        """To where the pooling window began."""
        return self._set(self._begun, self._now)

    def onward(self) -> list[Any]:
        """To the next pooling window."""
        return self._set(self._moved(self._begun, "outer"), self._begun, self._now)

    def restart(self) -> list[Any]:
        """To the first pooling window."""
        return self._set(self._moves["start"], self._begun, self._now)
