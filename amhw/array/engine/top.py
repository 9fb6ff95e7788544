"""The engine: an image in, its logits and its class out, for any network whose schedule fits."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from amhw.array.config import FETCH, POOLED
from amhw.array.delay import delay_line, delayed, delayed_flag
from amhw.array.element import pack
from amhw.array.engine.accumulate import Accumulator
from amhw.array.engine.images import PIXEL_BITS, Receiver
from amhw.array.engine.judge import Judge
from amhw.array.engine.memory import ADDRESS_BITS, ConfiguredMemory, program_memory
from amhw.array.engine.pool import Pool
from amhw.array.engine.requantise import BIASED, Requantiser
from amhw.array.engine.results import RESULT_BITS, Results
from amhw.array.engine.retire import Retire
from amhw.array.engine.sequencer import Sequencer
from amhw.array.engine.store import Store
from amhw.array.engine.walk import Walk
from amhw.array.engine.weights import WeightLoader
from amhw.array.engine.window import Window
from amhw.array.mesh import SystolicArray
from amhw.array.program import BUS_BITS, Sizes
from amhw.manifests import MemoryPlace


class Engine(wiring.Component):
    """Runs the operations in its memories; see docs/array.md.

    Images are double-buffered: one is received while another is computed. `last` on a pixel before the end of an image
    drops the image; `rst` drops everything but the contents of the memories that the configuration port writes.

    Args:
        sizes: what it has to be able to run.
        fixed: it runs the first of its schedules and nothing else; there is no configuration port.

    Members:
        image: In, stream of 8-bit pixels by channel, row and column, with ``last``.
        results: Out, stream of an image's logits and its class, 32 bits each, with ``last``.
        config: In, stream of writes to the memories: data in bits 0…31, address in bits 32…63 (`memory_map`); where it
            is not `fixed`.
    """

    def __init__(self, sizes: Sizes, *, fixed: bool = False) -> None:
        self.sizes, self._fixed = sizes, fixed
        config, schedule = sizes.config, sizes.schedules[0]
        self.array = SystolicArray(
            config.multiplier, sizes.widths, config.rows, config.cols, config.depth, config.gates
        )
        self._weights = WeightLoader(sizes, fixed=fixed)
        self._requantiser = Requantiser(sizes, fixed=fixed)
        self._programs = {
            kind: program_memory(
                sizes.program(kind, schedule), sizes.operations, getattr(sizes, kind).width, fixed=fixed
            )
            for kind in ("fetch", "weights", "finish")
        }
        self._setup = program_memory([sizes.setup.word(schedule.setup)], 1, sizes.setup.width, fixed=fixed)
        super().__init__(
            {
                "image": In(stream.Signature(data.StructLayout({"data": PIXEL_BITS, "last": 1}))),
                "results": Out(stream.Signature(data.StructLayout({"data": RESULT_BITS, "last": 1}))),
                **({} if fixed else {"config": In(stream.Signature(64))}),
            }
        )

    @property
    def _memories(self) -> dict[str, ConfiguredMemory]:
        """By region of the address space."""
        programs = {f"{kind} program": memory for kind, memory in self._programs.items()}
        return {
            "weights": self._weights.memory,
            "biases": self._requantiser.memory,
            **programs,
            "setup": self._setup,
        }

    @property
    def memory_map(self) -> dict[str, MemoryPlace]:
        """Addresses of the config stream: base + word·stride + lane; see docs/array.md."""
        return {
            name: memory.place(region)
            for region, (name, memory) in enumerate(self._memories.items())
            if memory.lanes * memory.bits
        }

    @property
    def sum_width(self) -> int:
        """Bits of a sum, in units of 2^`sizes.widths.shift`."""
        return self.sizes.sum_shape.width

    @property
    def memory_bits(self) -> dict[str, int]:
        """Bits of each kind of memory."""
        sizes = self.sizes
        config = sizes.config
        found = {name: memory.words * memory.lanes * memory.bits for name, memory in self._memories.items()}
        return {
            "activations": config.taps * sizes.words * config.requantisers * sizes.code_bits,
            "partial sums": max(sizes.places, 2) * config.cols * self.sum_width if sizes.places else 0,
            "results": sizes.results * len(Value.cast(self._requantiser.sums)),
            **found,
        }

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sizes, config = self.sizes, self.sizes.config
        m.submodules.sequencer = sequencer = Sequencer(sizes)
        m.submodules.walk = walk = Walk(sizes)
        m.submodules.receiver = images = Receiver(sizes)
        m.submodules.window = window = Window(sizes)
        m.submodules.loader = weights = self._weights
        m.submodules.array = array = self.array
        m.submodules.retire = retire = Retire(sizes)
        m.submodules.accumulator = accumulator = Accumulator(sizes)
        m.submodules.pool = pool = Pool(sizes)
        m.submodules.requantiser = requantiser = self._requantiser
        m.submodules.store = store = Store(sizes)
        m.submodules.results = results = Results(sizes)
        for name, memory in self._programs.items():
            m.submodules[f"{name}_program"] = memory
        m.submodules.setup = setup = self._setup
        wiring.connect(m, wiring.flipped(self.image), images.image)
        if sizes.finish.most("decides"):
            m.submodules.judge = judge = Judge(sizes)
            wiring.connect(m, results.results, judge.given)
            wiring.connect(m, judge.results, wiring.flipped(self.results))
            m.d.comb += [
                judge.setup.eq(setup.word),
                sequencer.judged.eq(judge.judged),
                sequencer.again.eq(judge.again),
                retire.again.eq(judge.again),
            ]
        else:
            wiring.connect(m, results.results, wiring.flipped(self.results))
        if not self._fixed:
            self._configure(m)

        # The programs: each unit's record of the operation that it is at.
        fetch, finish = self._programs["fetch"], self._programs["finish"]
        m.d.comb += [
            fetch.address.eq(sequencer.operation),
            finish.address.eq(retire.operation),
            self._programs["weights"].address.eq(sequencer.upcoming),
            weights.record.eq(self._programs["weights"].word),
            *(unit.record.eq(fetch.word) for unit in (sequencer, walk, window)),
            *(unit.record.eq(finish.word) for unit in (retire, pool, requantiser, store)),
            *(unit.setup.eq(setup.word) for unit in (sequencer, images, retire, results)),
        ]
        now, later = sizes.fetch.view(fetch.word), sizes.finish.view(finish.word)

        # Turns.
        through = sequencer.step & ~now.element
        swap = through & walk.first
        m.d.comb += [
            walk.load.eq(sequencer.load),
            walk.step.eq(sequencer.step),
            walk.images.eq(sequencer.batch),
            *(getattr(sequencer, flag).eq(getattr(walk, flag)) for flag in ("first", "last", "last_tile", "complete")),
            sequencer.weights.eq(weights.ready),
            sequencer.images.eq(images.images),
            sequencer.partial.eq(images.partial),
            sequencer.sent.eq(results.sent),
            images.release.eq(sequencer.release),
            weights.begin.eq(sequencer.announce & sizes.weights.view(weights.record).tiles),
            weights.swap.eq(swap),
            weights.last.eq(walk.last_tile),
        ]

        # From the memory through the array.
        offset = Mux(now.image, images.buffer, 0) + Mux(now.slot, sequencer.slot, 0)
        m.d.comb += [
            window.address.eq(walk.address + offset),
            *(
                getattr(window, part).eq(getattr(walk, part))
                for part in ("remainder_y", "remainder_x", "inside_y", "inside_x", "lane")
            ),
            array.a.eq(window.activations),
            array.swap.eq(delayed(m, swap, window.latency, "swap")),
            *([array.is_open.eq(delayed(m, now.gates, window.latency, "gates"))] if config.gates else []),
            array.w_load.eq(weights.load),
            Value.cast(array.w).eq(Value.cast(weights.weights)),
        ]

        # Sums.
        second = delayed_flag(m, retire.second)
        begins = delay_line(m, retire.begins, POOLED, "begins")[-1]
        complete = delay_line(m, retire.coming & retire.complete, 1 + POOLED, "complete", reset_less=False)
        m.d.comb += [
            retire.step.eq(sequencer.step),
            retire.element.eq(now.element),
            retire.batched.eq(now.batched),
            retire.images.eq(sequencer.batch),
            accumulator.coming.eq(retire.coming & ~later.element),
            *(getattr(accumulator, flag).eq(getattr(retire, flag)) for flag in ("fresh", "kept", "tile_ends")),
            Value.cast(accumulator.s).eq(Value.cast(array.s)),
            Value.cast(pool.totals).eq(Value.cast(accumulator.totals)),
            pool.word.eq(window.word),
            pool.second.eq(second),
            pool.begins.eq(begins),
            pool.complete.eq(complete[-2]),
        ]

        # What is held, and what it belongs to.
        tags = {
            flag: delayed(m, getattr(retire, flag), 1 + POOLED, flag)
            for flag in ("second", "first", "row_ends", "group_ends", "ends")
        }
        half = later.adds & ~tags["second"]
        m.d.comb += [
            requantiser.load.eq(retire.load),
            Value.cast(requantiser.held).eq(Value.cast(pool.held)),
            *([Value.cast(requantiser.least).eq(Value.cast(pool.least))] if sizes.keeps_least else []),
            requantiser.start.eq(complete[-1]),
            requantiser.half.eq(half),
            requantiser.group_ends.eq(tags["group_ends"]),
            store.load.eq(retire.load),
            store.slot.eq(retire.slot),
            store.start.eq(complete[-1] & ~half),
            *(getattr(store, flag).eq(tags[flag]) for flag in ("first", "row_ends", "group_ends")),
            store.active.eq(requantiser.active & ~half),
            store.last_phase.eq(requantiser.last_phase),
        ]

        # Codes go back into the memory, which pixels wait for; logits go out.
        # The record may be the next operation's in the clock of the last write: what a word is goes with it.
        storing = delay_line(m, store.active & ~later.results, requantiser.latency, "storing", reset_less=False)[-1]
        answering = delay_line(m, store.active & later.results, BIASED, "answering", reset_less=False)[-1]
        to = delay_line(m, store.to, requantiser.latency, "to")
        bank_y = delayed(m, store.bank_y, requantiser.latency, "bank_y")
        bank_x = delayed(m, store.bank_x, requantiser.latency, "bank_x")
        kept_ends = Signal()
        with m.If(complete[-1]):
            m.d.sync += kept_ends.eq(tags["ends"])
        ends = Mux(complete[-1], tags["ends"], kept_ends) & store.active & store.last_phase
        codes = requantiser.codes
        pixel = pack(images.code, sizes.widths.bits_a) if sizes.plain else images.code
        packed = [pack(codes[k], sizes.widths.bits_a) if sizes.plain else codes[k] for k in range(config.requantisers)]
        lane = Signal(config.requantisers)
        m.d.comb += [
            lane.eq(1 << images.lane if window.lane_writes else -1),
            images.allow.eq(~storing),
            window.write.eq(storing | images.write),
            window.lanes.eq(Mux(storing, -1, lane)),
            window.bank_y.eq(Mux(storing, bank_y, images.bank_y)),
            window.bank_x.eq(Mux(storing, bank_x, images.bank_x)),
            window.to.eq(Mux(storing, to[-1], images.to)),
            Value.cast(window.codes).eq(Mux(storing, Cat(*packed), pixel.replicate(config.requantisers))),
            results.claim.eq(sequencer.claim),
            results.write.eq(answering),
            results.to.eq(to[BIASED - 1]),
            Value.cast(results.sums).eq(Value.cast(requantiser.sums)),
            results.whole.eq(delay_line(m, ends & later.results, BIASED, "whole", reset_less=False)[-1]),
            results.images.eq(Mux(later.batched, sequencer.batch, 1)),
        ]
        assert window.latency == FETCH and accumulator.latency + pool.latency == POOLED
        return m

    def _configure(self, m: Module) -> None:
        """The configuration port: to each memory its region."""
        address = self.config.payload[BUS_BITS:]
        m.d.comb += self.config.ready.eq(1)
        units: dict[str, ConfiguredMemory | WeightLoader | Requantiser] = {**self._memories}
        units |= {"weights": self._weights, "biases": self._requantiser}
        for region, unit in enumerate(units.values()):
            m.d.comb += [
                unit.write.eq(self.config.valid & (address[ADDRESS_BITS:] == region)),
                unit.to.eq(address[:ADDRESS_BITS]),
                unit.data.eq(self.config.payload[:BUS_BITS]),
            ]
