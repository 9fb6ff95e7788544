"""Which operation runs, and when a position has its turn."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from amhw.array.delay import delayed_flag
from amhw.array.program import Sizes


class Sequencer(wiring.Component):
    """Operations of an image, once for each; after the last image of a batch, operations of the batch.

    A batch is closed when it is full, or when no pixel of another image has come. What comes after an operation is
    decided when its last tile begins, so that weights can be loaded meanwhile.

    Args:
        sizes: of the engine.

    Members:
        record: In, `amhw.array.records.Fetch` of the operation `operation`, one clock later.
        setup: In, `amhw.array.records.Setup`.
        first, last, last_tile, complete: In, of the present position (`amhw.array.engine.walk.Walk`).
        weights: In, whether the next tile's are ready.
        images, partial: In, what has been received.
        sent: In, whether all results have been sent.
        judged, again: In, whether an image's operations go on after the one that decides (`amhw.array.engine.judge`).
        operation: Out, that runs.
        upcoming: Out, the one after it; `announce`: its records are there now.
        load: Out, begin to walk `record`.
        step: Out, the present position has its turn.
        claim: Out, results will come.
        release: Out, the image has been read for the last time.
        slot: Out, address of the image's slot.
        batch: Out, images in the batch that runs or ran last.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        super().__init__(
            {
                "record": In(sizes.fetch.width),
                "setup": In(sizes.setup.width),
                "first": In(1),
                "last": In(1),
                "last_tile": In(1),
                "complete": In(1),
                "weights": In(1),
                "images": In(range(3)),
                "partial": In(1),
                "sent": In(1),
                "judged": In(1),
                "again": In(1),
                "operation": Out(range(sizes.operations)),
                "upcoming": Out(range(sizes.operations)),
                "announce": Out(1),
                "load": Out(1),
                "step": Out(1),
                "claim": Out(1),
                "release": Out(1),
                "slot": Out(range(sizes.words)),
                "batch": Out(range(sizes.batch + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, most = self._sizes, self._sizes.fetch.most
        now, setup = sizes.fetch.view(self.record), sizes.setup.view(self.setup)

        # The turns of an operation's positions.
        begun, ending = Signal(), Signal()
        since = Signal(range(most("gap") + 1), init=most("gap"))
        pause = Signal(range(max(2, most("interval"))))
        running = Signal()
        m.d.comb += [
            self.step.eq(
                running
                & (pause == 0)
                & (begun | ((since >= now.gap) & (~now.image | (self.images != 0)) & (~now.results | self.sent)))
                & (~self.first | now.element | self.weights)
            ),
            ending.eq(self.step & self.last & self.last_tile),
            self.claim.eq(self.step & ~begun & now.results),
        ]
        release: Value = delayed_flag(m, ending & now.release)
        with m.If(since != most("gap")):
            m.d.sync += since.eq(since + 1)
        with m.If(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.If(self.step):
            m.d.sync += begun.eq(1)
            with m.If(self.complete):
                m.d.sync += pause.eq(now.interval - 1)
        with m.If(ending):
            m.d.sync += [since.eq(1), begun.eq(0)]

        # What comes next.
        known, undecided, to_batch = Signal(init=1), Signal(), Signal()
        count = Signal(range(sizes.batch + 1))
        held = Signal()
        fresh = Signal(init=1)
        fresh_later = Signal()
        full = (count + 1) == setup.batch
        pending = self.partial | (self.images > held)
        with m.If(self.step & (self.operation == 0)):
            m.d.sync += held.eq(1)
        with m.If(self.release):
            m.d.sync += held.eq(0)
        m.d.sync += [fresh.eq(0), fresh_later.eq(fresh)]
        m.d.comb += self.announce.eq(fresh_later)
        follows: Value = ~now.ends
        deciding: Value = undecided
        if most("decides"):
            follows = follows | (now.decides & self.judged & self.again)
            deciding = undecided & ~(now.decides & ~self.judged)
            release = release | (undecided & now.decides & self.judged & ~self.again)
        m.d.comb += self.release.eq(release)
        with m.If(deciding):
            with m.If(follows):
                m.d.sync += [self.upcoming.eq(self.operation + 1), known.eq(1), undecided.eq(0), fresh.eq(1)]
            with m.Elif(~now.gathers | (~full & (self.images > held))):
                m.d.sync += [self.upcoming.eq(0), known.eq(1), undecided.eq(0), fresh.eq(1)]
            with m.Elif(full | ~pending):
                m.d.sync += [self.upcoming.eq(self.operation + 1), known.eq(1), undecided.eq(0), fresh.eq(1)]
                m.d.sync += to_batch.eq(1)
        with m.If(self.step & self.first & self.last_tile):
            m.d.sync += [undecided.eq(1), known.eq(0)]

        with m.FSM():
            with m.State("wait"), m.If(known):
                m.d.sync += self.operation.eq(self.upcoming)
                with m.If(to_batch):
                    m.d.sync += [to_batch.eq(0), self.batch.eq(count), count.eq(0), self.slot.eq(0)]
                m.next = "read"
            with m.State("read"):
                m.next = "load"
            with m.State("load"):
                m.d.comb += self.load.eq(1)
                m.next = "run"
            with m.State("run"):
                m.d.comb += running.eq(1)
                with m.If(ending):
                    m.next = "wait"
                    with m.If(now.gathers):
                        m.d.sync += [count.eq(count + 1), self.slot.eq(self.slot + setup.slot)]
        return m
