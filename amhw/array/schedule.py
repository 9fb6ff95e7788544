"""A network lowered to the engine's operations: tile loops as plain data; nothing in this module looks at circuits.

A convolution or a linear layer is

    for group of `cols` outputs: for input channels: for parts of the kernel:       a tile of weights that stays
        for pooled row: for pooled column: for row and column of the pooling window:    a position a clock

and its sums over input channels and parts of the kernel are kept for each position. A max-pool behind a convolution
belongs to it. A linear layer is a convolution with a kernel as great as what it takes. Pools of their own, additions
and copies pass one word of channels a clock and leave the array out.

The linear layers at the end of a network use each weight once an image; they run for a batch of images at a time, each
of which has a slot of the activation memory. All else runs once an image.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from amhw.array.config import ArrayConfig
from amhw.array.contents import bias_words_of, weight_tiles
from amhw.array.operation import Operation
from amhw.array.placement import Layout, Space
from amhw.array.records import Fetch, Finish, Setup, Weights
from amhw.array.spacing import Spacing, rows_needed
from amhw.array.widths import SUM_BITS, Widths, width_of
from amhw.multiplier import Multiplier
from amhw.network.layers import IMAGE, Add, AveragePool, Flatten, Linear, MaxPool, Pair
from amhw.network.network import Multiplying
from amhw.network.quantised import QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Addition, Requantisation
from amhw.refusal import Refusal
from amhw.table import ProductTable


@dataclass(frozen=True)
class _Form:
    """How a reader takes codes: shifted (pixels only), `rounding` added, at most `highest`; from no image buffer, as
    those take turns, where it is to be added to something that stays in its place."""

    shift: int = 0
    rounding: int = 0
    highest: int = 255
    stays: bool = False


@dataclass(frozen=True)
class _Stored:
    """What is in the activation memory: of a layer or the image, in one form."""

    layout: Layout
    base: int
    slot: bool = False
    signed: bool = False


@dataclass(frozen=True)
class _Task:
    """One operation before it has places: names of what it reads and writes."""

    name: str
    kind: str
    sources: tuple[tuple[str, _Form], ...]
    target: tuple[str, _Form] | None
    layer: QuantisedLayer | None = None
    window: Pair = (1, 1)
    stride: Pair = (1, 1)
    constants: Requantisation | Addition | None = None
    batched: bool = False


@dataclass(frozen=True, eq=False)
class Schedule:
    """`network` on `config`.

    Attributes:
        multipliers: of layers that have another than `config.multiplier`, by name; `config.masks` has them all.
        image_as_is: whether pixels are stored as they are, for another network that takes them in another form.

    Raises:
        Refusal: they do not fit each other.
    """

    network: QuantisedNetwork
    config: ArrayConfig
    multipliers: Mapping[str, Multiplier] = field(default_factory=dict)
    image_as_is: bool = False

    def __post_init__(self) -> None:
        self.network.network.check_plain("the array's engine")
        for name in self.multipliers:
            if name not in self.network.layer_names:
                raise Refusal(f"a multiplier for {name}; {self.network.name} has {', '.join(self.network.layer_names)}")
        for layer in self.network.layers:
            layer.check_operands(self.tables[layer.name])
            self.network.check_table(layer, self.tables[layer.name])
            self.config.mode(self.multiplier(layer.name))
        if self.network.network.classes > 1 << 16:
            raise Refusal(f"{self.network.network.classes} classes; wanted at most {1 << 16}")
        self.widths.check_sums(self.terms, SUM_BITS - 1)
        self.operations  # noqa: B018 (refuses what does not fit)

    def multiplier(self, name: str) -> Multiplier:
        """Of a layer."""
        return self.multipliers.get(name, self.config.multiplier)

    @cached_property
    def tables(self) -> dict[str, ProductTable]:
        """Of each layer's multiplier, by name."""
        made = {one: ProductTable.of(one) for one in map(self.multiplier, self.network.layer_names)}
        return {name: made[self.multiplier(name)] for name in self.network.layer_names}

    # Numbers that hold for all operations

    @cached_property
    def widths(self) -> Widths:
        """Of the table, for the activation codes that exist."""
        return Widths.of(self.config.table, self.network.layers[0].operands.activation_max + 1)

    @cached_property
    def terms(self) -> int:
        """The most products in a sum."""
        return max(int(prod(layer.weights.shape[1:])) for layer in self.network.layers)

    @cached_property
    def batched(self) -> tuple[str, ...]:
        """The linear layers at the end, which run for a batch of images.

        None where one of them takes pixels, where one's codes are wanted in two forms, or where an addition takes what
        they take: then all layers run once an image.
        """
        structure = self.network.network
        tail: list[str] = []
        for layer in reversed(structure.layers):
            if not isinstance(layer, Linear | Flatten):
                break
            tail.append(layer.name)
        linear = tuple(name for name in reversed(tail) if isinstance(structure[name], Linear))
        taken = {self._stored(source) for name in linear for source in structure.sources[name]} - {*linear}
        joined = {
            self._stored(source)
            for layer in structure.layers
            if isinstance(layer, Add)
            for source in structure.sources[layer.name]
        }
        several = any(len(self._forms[name]) > 1 for name in linear)
        return () if self.config.batch == 1 or IMAGE in taken or taken & joined or several else linear

    @property
    def batch(self) -> int:
        """Images in a batch, at most."""
        return self.config.batch if self.batched else 1

    @property
    def plain(self) -> bool:
        """Whether every code that is stored only enters the array: then only the bits that are read are stored."""
        return all(task.layer is not None for task in self._tasks)

    # What is done, in order

    def _stored(self, name: str) -> str:
        """The name under which what leaves a layer is in the memory: flattening moves nothing."""
        structure = self.network.network
        while name != IMAGE and isinstance(structure[name], Flatten):
            [name] = structure.sources[name]
        return name

    @cached_property
    def _tasks(self) -> tuple[_Task, ...]:
        structure = self.network.network
        pools = {name: structure.pool_behind(name) for name in structure.layer_names}
        fused = {pool.name for pool in pools.values() if pool is not None}
        tasks = self._copies(IMAGE)
        for layer in structure.layers:
            name = layer.name
            if isinstance(layer, Flatten) or name in fused:
                continue
            sources = tuple((self._stored(source), self._form(name, source)) for source in structure.sources[name])
            pool = pools.get(name)
            out = name if pool is None else pool.name
            target = (out, self._forms[out][0]) if self._forms[out] else None
            task = _Task(name, "add", sources, target)
            if isinstance(layer, Multiplying):
                own = self.network[name]
                kind = "linear" if own.is_linear else "convolution"
                task = replace(task, kind=kind, layer=own, batched=name in self.batched, constants=own.requantisation)
                if pool is not None:
                    task = replace(task, window=pool.window, stride=pool.stride)
            elif isinstance(layer, MaxPool):
                assert target is not None, "a layer takes it"
                task = replace(task, kind="max", constants=_identity(target[1]))
            else:
                task = replace(task, constants=self.network.joins[name])
            if isinstance(layer, AveragePool):
                task = replace(task, kind="mean")
            if isinstance(layer, MaxPool | AveragePool):
                task = replace(task, window=layer.window, stride=layer.stride)
            tasks += [task, *self._copies(out)]
        return tuple(tasks)

    def _copies(self, name: str) -> list[_Task]:
        """Copies of what leaves layer `name`, in all forms but the first."""
        return [
            _Task(f"{name}_copy{k}", "copy", ((name, self._forms[name][0]),), (name, form), constants=_identity(form))
            for k, form in enumerate(self._forms[name][1:])
        ]

    def _form(self, reader: str, name: str) -> _Form:
        """How layer `reader` takes what leaves layer `name`."""
        structure = self.network.network
        if reader not in structure.layer_names:
            sources = {self._stored(source) for source in structure.sources[reader]}
            return _Form(stays=self._stored(name) == IMAGE and len(sources) > 1)
        own = self.network[reader]
        if structure.writer(name) == IMAGE:
            return _Form(8 - own.operands.activation_bits, own.input_rounding, own.operands.activation_max)
        return _Form(0, own.input_rounding, own.operands.activation_max) if own.input_rounding else _Form()

    @cached_property
    def _forms(self) -> dict[str, tuple[_Form, ...]]:
        """For what is stored, the forms that its readers want; where there are several, codes as they are first."""
        structure = self.network.network

        def wanted(name: str) -> set[_Form]:
            found: set[_Form] = set()
            for consumer in structure.consumers[name]:
                flat = isinstance(structure[consumer], Flatten)
                found |= wanted(consumer) if flat else {self._form(consumer, name)}
            return found

        forms = {name: wanted(name) for name in [IMAGE, *(layer.name for layer in structure.layers)]}
        return {
            name: tuple(sorted(found | {_Form()}, key=lambda form: (form != _Form(), astuple(form))))
            if len(found) > 1 or _Form(stays=True) in found or (name == IMAGE and self.image_as_is)
            else tuple(found)
            for name, found in forms.items()
        }

    def _signed(self, name: str) -> bool:
        """Whether codes that leave layer `name` may be negative."""
        writer = self.network.network.writer(name)
        return writer != IMAGE and self.network.codes_of(writer)[0] < 0

    @cached_property
    def _places(self) -> tuple[dict[tuple[str, _Form], _Stored], int, int, int]:
        """Where everything that is stored lies; addresses of an image buffer, of the first slot, and of a slot."""
        structure, config, tasks = self.network.network, self.config, self._tasks
        layouts: dict[tuple[str, _Form], Layout] = {}
        written: dict[tuple[str, _Form], int] = {}
        read: dict[tuple[str, _Form], int] = {}
        crossing: set[tuple[str, _Form]] = set()
        image = Layout.of(structure.input_shape, config)
        pixels = (IMAGE, self._forms[IMAGE][0])
        layouts[pixels] = image
        for index, task in enumerate(tasks):
            for source in task.sources:
                read[source] = index
                if task.batched and not tasks[written[source]].batched:
                    crossing.add(source)
            if task.target is None:
                continue
            name, _ = task.target
            source_layout = layouts[task.sources[0]]
            if task.layer is not None:
                words = prod(config.shares(task.layer.outputs))
                layouts[task.target] = Layout.of(structure.shapes[name], config, words)
            elif task.kind in ("add", "copy"):
                alike = {(one.vector, one.height, one.width) for one in map(layouts.__getitem__, task.sources)}
                if len(alike) > 1:
                    raise Refusal(
                        f"{task.name} adds a map that was flattened to what a linear layer gives, which the engine "
                        "keeps in another order; wanted two of one kind"
                    )
                layouts[task.target] = replace(
                    source_layout, planes=min(layouts[source].planes for source in task.sources)
                )
            else:
                layouts[task.target] = replace(Layout.of(structure.shapes[name], config), planes=source_layout.planes)
            written[task.target] = read[task.target] = index
        buffer = image.size(config)
        work, slots = Space(), Space()
        places = {pixels: _Stored(image, 0)}
        for target, index in written.items():
            slot = target in crossing or tasks[index].batched
            space = slots if slot else work
            base = space.place(layouts[target].size(config), index, read[target])
            places[target] = _Stored(layouts[target], base, slot, self._signed(target[0]))
        first = 2 * buffer
        places = {
            key: one if key == pixels else replace(one, base=one.base + first + (work.size if one.slot else 0))
            for key, one in places.items()
        }
        return places, buffer, work.size + first, slots.size

    @property
    def words(self) -> int:
        """Of each bank of the activation memory."""
        _, _, first, slot = self._places
        return first + self.batch * slot

    @cached_property
    def setup(self) -> Setup:
        """What holds for all operations."""
        channels, height, width = self.network.network.input_shape
        form = self._forms[IMAGE][0]
        layout = Layout.of((channels, height, width), self.config)
        _, buffer, _, slot = self._places
        classes = self.network.network.classes
        return Setup(
            channels=channels,
            height=height,
            width=width,
            pitch=layout.pitch(self.config),
            row_pitch=layout.row_pitch(self.config),
            image=buffer,
            pixel_shift=form.shift,
            pixel_rounding=form.rounding,
            pixel_highest=form.highest,
            slot=slot,
            batch=self.batch,
            classes=classes,
            words=prod(self.config.shares(classes)),
        )

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """In the order in which they run: those of an image, then those of a batch."""
        made: list[Operation] = []
        words = biases = 0
        for task in self._tasks:
            strips = self._lowered(task, words, biases)
            made += strips
            if task.layer is not None:
                words += strips[0].tiles * self.config.lanes
                biases += strips[0].finish.groups * strips[0].finish.phases
        return tuple(self._ordered(made))

    def _lowered(self, task: _Task, words: int, biases: int) -> list[Operation]:
        """A task as one operation, or as several for strips of its rows."""
        config, places = self.config, self._places[0]
        source = places[task.sources[0]]
        layout = source.layout
        height, width = config.window
        element = task.layer is None
        kernel, stride, padding = (1, 1), (1, 1), (0, 0)
        pool, step = task.window, task.stride
        if task.layer is not None:
            kernel, stride, padding = task.layer.kernel, task.layer.stride, task.layer.padding
            if task.layer.is_linear:
                kernel = (layout.height, layout.width)
        rows = columns = 1
        if layout.vector == 0 and not (task.layer is not None and task.layer.is_linear):
            assert task.target is not None, "only a linear layer gives logits"
            target_layout = places[task.target].layout
            rows, columns = target_layout.height, target_layout.width
        elif element:
            # The words of a vector, bank after bank: positions of a map of the window's size.
            rows, columns = height, width
        pitch, row_pitch = layout.pitch(config), layout.row_pitch(config)
        inner = [_move(stride[0], height, row_pitch), _move(stride[1], width, 1)]
        outer = [_move(stride[0] * step[0], height, row_pitch), _move(stride[1] * step[1], width, 1)]
        if task.kind == "add":
            other = places[task.sources[1]]
            pool = (1, 2)
            inner[1] = (0, other.base - source.base, 0)
        if task.batched:
            outer[1] = (0, self._places[3], 0)
        per_row = columns * pool[0] * pool[1]
        channels = layout.planes if element else -(-layout.channels // config.channels)
        multiplier = config.multiplier if task.layer is None else self.multiplier(task.name)
        mode = config.mode(multiplier)
        parts = (1, 1) if element else tuple(-(-k // w) for k, w in zip(kernel, config.window, strict=True))
        kept = not element and channels * parts[0] * parts[1] > 1
        if kept and max(per_row, self.batch if task.batched else 0) > config.sums:
            what = f"a batch has {self.batch}" if task.batched else f"a row of {task.name} has {per_row}"
            raise Refusal(f"{what} positions; partial sums are kept of {config.sums}")
        strip = min(rows, config.sums // per_row) if kept else rows
        groups, phases = (1, 1) if task.layer is None else config.shares(task.layer.outputs)
        interval = 1 if element else -(-phases // (pool[0] * pool[1]))
        made = []
        for first in range(0, rows, strip):
            start = [
                _move(first * stride[0] * step[0] - padding[0], height, row_pitch),
                _move(-padding[1], width, 1),
            ]
            fetch = Fetch(
                element=int(element),
                image=int(task.sources[0][0] == IMAGE and task.sources[0][1] == self._forms[IMAGE][0]),
                release=0,
                results=int(task.target is None),
                ends=0,
                gathers=0,
                gap=0,
                interval=interval,
                groups=groups,
                channels=channels,
                parts_y=parts[0],
                parts_x=parts[1],
                rows=min(strip, rows - first),
                columns=columns,
                pool_y=pool[0],
                pool_x=pool[1],
                batched=int(task.batched),
                lanes=1 if element else config.requantisers // config.channels,
                slot=int(source.slot and not task.batched),
                base=source.base,
                pitch=pitch,
                row_pitch=row_pitch,
                height=layout.height,
                width=layout.width,
                kept=mode.activation_bits,
                gates=mode.gates,
                **_moves("start", start),
                **_moves("inner", inner),
                **_moves("outer", outer),
            )
            weights = Weights(int(not element), 0 if element else words)
            finish = self._finish(task, fetch, phases, first, biases)
            products = 0
            if task.layer is not None:
                products = fetch.rows * per_row * int(prod(task.layer.weights.shape))
            name = task.name if strip == rows else f"{task.name}[{first}]"
            made.append(
                Operation(name, task.kind, fetch, weights, finish, products, first, parts[0] * height, multiplier.name)
            )
        return made

    def _finish(self, task: _Task, fetch: Fetch, phases: int, first: int, biases: int) -> Finish:
        config = self.config
        places = self._places[0]
        element = task.layer is None
        signed = [places[source].signed for source in task.sources]
        rounding = 0
        # Nothing is requantised of logits: any constants will do, and those that are there already cost least.
        one = task.constants or next((other.constants for other in self._tasks if other.constants), _identity(_Form()))
        factors = one.multipliers if isinstance(one, Addition) else (one.multiplier, one.multiplier)
        shift, lowest, highest = one.shift, one.minimum, one.maximum
        vector, base, slot, pitch, row_pitch = 0, 0, False, 1, 0
        if task.target is not None:
            form, place = task.target[1], places[task.target]
            layout, base, slot = place.layout, place.base, place.slot
            rounding = form.rounding
            if task.kind in ("copy", "max") and place.signed:
                lowest, highest = -128, 127
            elif form != _Form():
                lowest, highest = rounding, form.highest
            vector = int(layout.vector > 0 and not element)
            pitch, row_pitch = layout.pitch(config), layout.row_pitch(config)
        step = 0
        if task.batched:
            step = self.setup.words if task.target is None else self._places[3]
        height = config.window[0]
        return Finish(
            element=int(element),
            adds=int(task.kind == "add"),
            greatest=int(task.kind == "max"),
            signed_0=int(signed[0] and element),
            signed_1=int(signed[-1] and element),
            groups=fetch.channels if element else fetch.groups,
            terms=1 if element else fetch.channels * fetch.parts_y * fetch.parts_x,
            rows=fetch.rows,
            columns=fetch.columns,
            pool_y=fetch.pool_y,
            pool_x=fetch.pool_x,
            batched=fetch.batched,
            phases=phases,
            bias=0 if element else biases,
            factor_0=factors[0],
            factor_1=factors[1],
            offset=(1 << (shift - 1)) + (rounding << shift),
            shift=shift,
            lowest=lowest,
            highest=highest,
            absolute=int(isinstance(one, Requantisation) and one.absolute),
            results=int(task.target is None),
            slot=int(slot and not task.batched),
            vector=vector,
            base=base + first // height * row_pitch,
            pitch=pitch,
            row_pitch=row_pitch,
            bank=first % height,
            step=step,
            ends=0,
            gathers=0,
        )

    def _ordered(self, made: list[Operation]) -> list[Operation]:
        """With the flags that say what an operation's end means, and the gaps between operations."""
        images = [index for index, one in enumerate(made) if one.fetch.image]
        alone = [index for index, one in enumerate(made) if not one.fetch.batched]
        last = max(alone)
        flagged = []
        for index, one in enumerate(made):
            ends = int(index in (last, len(made) - 1))
            gathers = int(index == last and last < len(made) - 1)
            fetch = replace(one.fetch, ends=ends, gathers=gathers, release=int(index == max(images)))
            flagged.append(replace(one, fetch=fetch, finish=replace(one.finish, ends=ends, gathers=gathers)))
        return self._with_gaps(flagged)

    def _with_gaps(self, made: list[Operation]) -> list[Operation]:
        """Gaps that are long enough for what an operation reads to have been written.

        Turns are counted at the least: where something stalls, what was written before is only older.
        """
        config = self.config
        ending = [bool(one.fetch.element) for one in made if one.fetch.ends]
        last: list[int] = []
        spacing = Spacing(config.tile_interval)
        for index, (one, producers) in enumerate(zip(made, self._producers(made), strict=True)):
            element = bool(one.fetch.element)
            # The first operation follows an image's last one, or a batch's.
            before = ending if index == 0 else [bool(made[index - 1].fetch.element)]
            gap = max(config.between(kind, element) for kind in before)
            for producer in producers:
                written = made[producer]
                way = config.until_readable(bool(written.fetch.element))
                for turn, age in rows_needed(one, written):
                    gap = max(gap, last[producer] - age + way - turn - last[index - 1])
            made[index] = replace(one, fetch=replace(one.fetch, gap=gap))
            last.append(spacing.after(made[index]))
        return made

    def _producers(self, made: list[Operation]) -> list[list[int]]:
        """For each operation, those that wrote what it reads."""
        written: dict[tuple[str, _Form], list[int]] = {}
        found: list[list[int]] = []
        tasks = iter(self._tasks)
        task = None
        for index, one in enumerate(made):
            task = next(tasks) if one.rows == 0 else task
            assert task is not None, "the first strip begins at row 0"
            found.append([producer for source in task.sources for producer in written.get(source, [])])
            if task.target is not None:
                written.setdefault(task.target, []).append(index)
        return found

    # Memories

    @cached_property
    def weight_words(self) -> NDArray[np.int64]:
        """Weight codes int64[tiles·lanes, cols, depth] in the order in which they are loaded; 0 where there is none."""
        words = [self._tiles(task) for task in self._tasks if task.layer is not None]
        return np.concatenate(words)

    def _tiles(self, task: _Task) -> NDArray[np.int64]:
        assert task.layer is not None, "has weights"
        kept = self.config.mode(self.multiplier(task.name)).weight_bits
        return weight_tiles(task.layer, self._places[0][task.sources[0]].layout, self.config, kept)

    @cached_property
    def bias_words(self) -> NDArray[np.int64]:
        """Biases int64[words of all groups of all layers, requantisers]."""
        layers = (task.layer for task in self._tasks if task.layer is not None)
        return np.concatenate([bias_words_of(layer, self.config) for layer in layers])

    @cached_property
    def bias_width(self) -> int:
        """Bits of a bias, two's complement: 16, or more where this network needs them."""
        return max(16, width_of(min(-1, int(self.bias_words.min())), int(self.bias_words.max())))

    # Clocks

    @property
    def image_operations(self) -> tuple[Operation, ...]:
        """Those that run once an image."""
        return tuple(one for one in self.operations if not one.fetch.batched)

    @property
    def batch_operations(self) -> tuple[Operation, ...]:
        """Those that run once a batch."""
        return tuple(one for one in self.operations if one.fetch.batched)

    @property
    def computing_clocks(self) -> float:
        """Clocks that the array takes for an image, where no stream stalls and all batches are full."""
        spacing = Spacing(self.config.tile_interval)
        ends = []
        for _ in range(2):
            for _ in range(self.batch):
                for one in self.image_operations:
                    end = spacing.after(one)
            for one in self.batch_operations:
                end = spacing.after(one, self.batch)
            ends.append(end)
        return (ends[1] - ends[0]) / self.batch

    @property
    def operation_clocks(self) -> tuple[int, ...]:
        """Clocks from each operation's first turn to its last, for an image or a full batch."""
        spacing = Spacing(self.config.tile_interval)
        found = []
        for one in self.operations:
            last = spacing.after(one, self.batch)
            found.append(last - spacing.first + 1)
        return tuple(found)

    @property
    def image_clocks(self) -> int:
        """From an image's first turn to the first one of the next, without the batch's operations."""
        spacing = Spacing(self.config.tile_interval)
        ends = [[spacing.after(one) for one in self.image_operations][-1] for _ in range(2)]
        return ends[1] - ends[0]

    @property
    def clocks_per_image(self) -> float:
        """From one image to the next of many, where no stream stalls and all batches are full."""
        return max(self.computing_clocks, prod(self.network.network.input_shape), self.network.network.classes + 1)

    @property
    def ideal_clocks_per_image(self) -> float:
        """One clock a position and tile, nothing else: what no array of this shape can be faster than."""
        return float(sum(one.positions * one.tiles for one in self.operations))

    @property
    def latency(self) -> int:
        """Clocks from the first turn of a single image to its last logit."""
        spacing = Spacing(self.config.tile_interval)
        last = [spacing.after(one) for one in self.operations][-1]
        return last + self.config.until_readable(element=False)

    @property
    def products_per_image(self) -> int:
        """Useful multiply-accumulates."""
        return sum(one.products for one in self.operations)

    @property
    def utilisation(self) -> float:
        """`products_per_image` over elements' multipliers × clocks; all loading and draining is in the clocks."""
        return self.products_per_image / (self.config.rows * self.config.cols * self.clocks_per_image)


def _identity(form: _Form) -> Requantisation:
    """The constants that leave codes as they are, or shift pixels right and round them."""
    scale = 15 - form.shift
    return Requantisation(1 << scale, scale + form.shift, form.highest)


def _move(pixels: int, side: int, address: int) -> tuple[int, int, int]:
    windows, remainder = divmod(pixels, side)
    return remainder, windows * address, pixels


def _moves(name: str, both: list[tuple[int, int, int]]) -> dict[str, int]:
    found = {}
    for axis, parts in zip("yx", both, strict=True):
        for part, value in zip(("remainder", "address", "coordinate"), parts, strict=True):
            found[f"{name}_{axis}_{part}"] = value
    return found
