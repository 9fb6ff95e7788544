"""The loops of an operation once more, a pipeline's length later: what each sum that arrives belongs to."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amhw.array.delay import flag_line
from amhw.array.loops import Loops
from amhw.array.program import Sizes


class Retire(wiring.Component):
    """Follows positions out of the array, or past it, in the order of their turns.

    `coming` is high one clock before a position's sums, `latency(element)` − 1 after its turn, and the outputs below
    belong to that position.

    Args:
        sizes: of the engine.

    Members:
        record: In, `amhw.array.records.Finish` of the operation `operation`, one clock later.
        setup: In, `amhw.array.records.Setup`.
        step: In, a position has its turn; `element`: it goes past the array.
        batched: In, the operation that has turns is a batch's.
        images: In, in the batch.
        again: In, after an operation that decides: another of its image follows.
        operation: Out, whose sums arrive.
        slot: Out, address of the image's slot.
        load: Out, with the operation's first `coming`.
        coming: Out.
        fresh: Out, nothing has been added to the position's sums; `kept`: something will be.
        tile_ends: Out, the last position of a tile.
        begins, complete: Out, the first position of a pooling window; a window's last, with all that adds to it.
        second: Out, the second word of a pair.
        first, row_ends, group_ends, ends: Out, the window is the first or the last of a group of outputs, the last of
            a row, or of the whole operation.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        flags = [
            "load",
            "coming",
            "fresh",
            "kept",
            "tile_ends",
            "begins",
            "complete",
            "second",
            "first",
            "row_ends",
            "group_ends",
            "ends",
        ]
        super().__init__(
            {
                "record": In(sizes.finish.width),
                "setup": In(sizes.setup.width),
                "step": In(1),
                "element": In(1),
                "batched": In(1),
                "images": In(range(sizes.batch + 1)),
                "again": In(1),
                "operation": Out(range(sizes.operations)),
                "slot": Out(range(sizes.words)),
                **{flag: Out(1) for flag in flags},
            }
        )

    def latency(self, element: bool) -> int:
        """Clocks from a position's turn to its sums."""
        return self._sizes.config.latency(element)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, most = self._sizes, self._sizes.finish.most
        now, setup = sizes.finish.view(self.record), sizes.setup.view(self.setup)
        if most("element"):
            around = flag_line(m, self.step & self.element, self.latency(True) - 1, "around")
            through = flag_line(m, self.step & ~self.element, self.latency(False) - 1, "through")
            ahead = around[-3] | through[-3]
            m.d.comb += self.coming.eq(around[-1] | through[-1])
        else:
            through = flag_line(m, self.step, self.latency(False) - 1, "through")
            ahead = through[-3]
            m.d.comb += self.coming.eq(through[-1])

        # The next operation may have been loaded already: what counts is the one that last had a turn.
        batched = Signal()
        with m.If(self.step):
            m.d.sync += batched.eq(self.batched)

        # The record changes when the first position of the next operation is near, after all the last one's have left.
        finished = Signal(init=1)
        started = Signal()
        m.d.comb += self.load.eq(self.coming & ~started)
        with m.If(self.coming):
            m.d.sync += started.eq(1)
        with m.If(ahead & finished):
            m.d.sync += [finished.eq(0), started.eq(0)]
            with m.If(started):
                m.d.sync += self.operation.eq(self.operation + 1)
                with m.If(now.ends & ~(now.gathers & batched) & ~(now.decides & self.again)):
                    m.d.sync += self.operation.eq(0)
                with m.If(now.gathers):
                    m.d.sync += self.slot.eq(Mux(batched, 0, self.slot + setup.slot))
        columns = Mux(now.batched, self.images, now.columns) if most("batched") else now.columns
        loops = Loops(
            m,
            self.coming,
            {
                "pool_x": (now.pool_x, most("pool_x")),
                "pool_y": (now.pool_y, most("pool_y")),
                "columns": (columns, max(most("columns"), sizes.batch if most("batched") else 1)),
                "rows": (now.rows, most("rows")),
                "terms": (now.terms, most("terms")),
                "groups": (now.groups, most("groups")),
            },
        )
        index, last = loops.index, loops.last
        window_ends = last["pool_x"] & last["pool_y"]
        tile_ends = window_ends & last["columns"] & last["rows"]
        m.d.comb += [
            self.fresh.eq(index["terms"] == 0),
            self.kept.eq(~last["terms"]),
            self.tile_ends.eq(tile_ends),
            self.begins.eq((index["pool_x"] == 0) & (index["pool_y"] == 0)),
            self.complete.eq(last["terms"] & (window_ends | now.adds)),
            self.second.eq(last["pool_x"]),
            self.first.eq((index["columns"] == 0) & (index["rows"] == 0)),
            self.row_ends.eq(last["columns"]),
            self.group_ends.eq(last["columns"] & last["rows"]),
            self.ends.eq(loops.all_last),
        ]
        with m.If(self.coming & loops.all_last):
            m.d.sync += finished.eq(1)
        return m
