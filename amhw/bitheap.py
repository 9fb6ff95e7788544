"""A bit heap: weighted bits plus one constant, and the ways to add them up.

A product, a sum of products, or a product and a partial sum are all the same thing to hardware: a heap of
bits, each worth a power of two, waiting for one addition. `BitHeap` collects them; `compress` reduces the
heap to two rows with full and half adders (the *tree*) and adds the two rows with one carry-propagate adder.

Signs are handled here and nowhere else. A bit of negative weight is inverted, because

    −x·2^k = (1 − x)·2^k − 2^k,

and the −2^k joins the heap's constant, so that only bits of positive weight are ever added.

Sources: bit heap: Brunie, de Dinechin, Istoan, Sergent, Illyes, Popa, "Arithmetic core generation using bit
heaps", FPL 2013. Trees: Wallace, "A suggestion for a fast multiplier", 1964; Dadda, "Some schemes for
parallel multipliers", 1965; three-greedy: Stelling, Martel, Oklobdzija, Ravi, "Optimal circuits for parallel
multipliers", IEEE Trans. Computers 47, 1998. Adders: Sklansky, 1960; Kogge and Stone, 1973; Brent and Kung, 1982; Han
and Carlson, 1987.
"""

from collections import deque
from collections.abc import Iterator

from amaranth.hdl import Cat, Const, Fragment, Module, Signal, Value

from amhw.prefix import GRAPHS, Level
from amhw.refusal import Refusal

TREES = ("dadda", "wallace", "array", "three-greedy")
ADDERS = ("auto", "ripple", *GRAPHS)


class BitHeap:
    """Bits of weight 2^k and one integer constant; its value is Σ bit·2^k + constant.

    Attributes:
        columns: for each exponent k, the bits of weight 2^k in the order in which they were added.
        constant: the integer added to them.
    """

    def __init__(self) -> None:
        self.columns: dict[int, list[Value]] = {}
        self.constant = 0

    def add_bit(self, bit: Value, exponent: int, *, negative: bool = False) -> None:
        """Add `bit`·2^exponent, or −`bit`·2^exponent."""
        if negative:
            bit = ~bit
            self.constant -= 1 << exponent
        self.columns.setdefault(exponent, []).append(bit)

    def add_value(self, value: Value, exponent: int = 0) -> None:
        """Add a whole signal times 2^exponent, with the weights of its shape (two's complement if signed)."""
        shape = value.shape()
        for k in range(len(value)):
            self.add_bit(value[k], exponent + k, negative=shape.signed and k == len(value) - 1)

    def add_constant(self, constant: int) -> None:
        """Add an integer."""
        self.constant += constant

    def add_heap(self, other: "BitHeap") -> None:
        """Add every bit and the constant of another heap."""
        for exponent, bits in other.columns.items():
            self.columns.setdefault(exponent, []).extend(bits)
        self.constant += other.constant

    @property
    def heights(self) -> dict[int, int]:
        """Bits in each column that has any, the constant left out."""
        return {exponent: len(self.columns[exponent]) for exponent in sorted(self.columns)}


def compress(m: Module, heap: BitHeap, width: int, *, tree: str = "dadda", adder: str = "auto") -> Value:
    """The value of `heap` modulo 2^width, as `width` bits.

    The function is the same for every choice of tree and adder; only the circuit differs.

    Args:
        m: the module that receives the adders.
        heap: what to add; it is left as it is.
        width: bits of the result.
        tree: ``dadda`` (as few adders as early as needed), ``wallace`` (as many as possible in each stage)
            or ``array`` (one row after another, the regular and slow one).
        adder: the carry-propagate adder: ``ripple``, a prefix adder of `amhw.prefix`, or ``auto``, a Verilog ``+``
            that leaves the choice to the synthesis tool.

    Raises:
        Refusal: unknown tree or adder.
    """
    check_structure(tree, adder)
    wires = _Wires(m)
    *_, columns = _reductions(wires, heap, width, tree)
    return _add_rows(wires, columns, adder)


def stage_heights(heap: BitHeap, width: int, *, tree: str = "dadda") -> list[list[int]]:
    """The heights of the `width` columns, lightest first: of the heap, and after each stage of the tree.

    The heap's constant counts as the bits that it has.

    >>> heap = BitHeap()
    >>> for bit in [Const(1)] * 4:
    ...     heap.add_bit(bit, 0)
    >>> stage_heights(heap, 3)
    [[4, 0, 0], [3, 1, 0], [2, 2, 0]]

    Raises:
        Refusal: unknown tree.
    """
    check_structure(tree, ADDERS[0])
    m = Module()
    heights = [[len(column) for column in columns] for columns in _reductions(_Wires(m), heap, width, tree)]
    Fragment.get(m, None)  # nothing is built of it; Amaranth warns of modules that are dropped unseen
    return heights


def check_structure(tree: str, adder: str) -> None:
    """Refuse a tree or an adder that does not exist.

    Raises:
        Refusal: with the names that do exist.
    """
    if tree not in TREES:
        raise Refusal(f"unknown tree {tree!r}; choose one of {', '.join(TREES)}")
    if adder not in ADDERS:
        raise Refusal(f"unknown adder {adder!r}; choose one of {', '.join(ADDERS)}")


_XOR, _AND = 2, 1
"""What an exclusive or takes, and an AND or OR, in the unit of `_Wires.ready`."""


class _Wires:
    """Names the intermediate bits, so that the emitted Verilog can be read, and keeps when each is ready."""

    def __init__(self, m: Module) -> None:
        self._m = m
        self._stage = 0
        self._count: dict[str, int] = {}
        self._ready: dict[int, int] = {}  # by identity: values have no hash, and the module keeps them

    def next_stage(self) -> None:
        self._stage += 1

    def ready(self, bit: Value) -> int:
        """When `bit` is ready; a bit of the heap is at once."""
        return self._ready.get(id(bit), 0)

    def wire(self, expression: Value, kind: str, column: int, ready: int = 0) -> Signal:
        stem = f"{kind}{self._stage}_{column}"
        index = self._count.get(stem, 0)
        self._count[stem] = index + 1
        signal = Signal(name=f"{stem}_{index}")
        self._m.d.comb += signal.eq(expression)
        self._ready[id(signal)] = ready
        return signal

    def add_bits(self, bits: list[Value], k: int) -> tuple[Signal, Signal]:
        """Sum and carry of two bits (half adder) or three (full adder) of column k."""
        x, y, *rest = bits
        first = max(self.ready(x), self.ready(y))
        half = self.wire(x ^ y, "h" if rest else "s", k, first + _XOR)
        both = self.wire(x & y, "g" if rest else "c", k + 1, first + _AND)
        if not rest:
            return half, both
        second = max(first + _XOR, self.ready(rest[0]))
        passed = self.wire(half & rest[0], "t", k + 1, second + _AND)
        total = self.wire(half ^ rest[0], "s", k, second + _XOR)
        return total, self.wire(both | passed, "c", k + 1, second + 2 * _AND)


def _reductions(wires: _Wires, heap: BitHeap, width: int, tree: str) -> Iterator[list[list[Value]]]:
    """The columns of the heap, and after each stage, until none has more than two bits."""
    columns = [list(heap.columns.get(k, ())) for k in range(width)]
    constant = heap.constant % (1 << width)
    for k in range(width):
        if constant >> k & 1:
            # First in its column: an adder with a constant input costs less, and the constant is never late.
            columns[k].insert(0, Const(1))
    yield columns
    if tree == "dadda":
        for limit in _dadda_limits(_height(columns)):
            columns = _dadda_stage(wires, columns, limit)
            yield columns
        return
    if tree == "three-greedy":
        if _height(columns) > 2:
            yield _three_greedy(wires, columns)
        return
    stage = _wallace_stage if tree == "wallace" else _array_stage
    while _height(columns) > 2:
        columns = stage(wires, columns)
        yield columns


def _height(columns: list[list[Value]]) -> int:
    return max((len(column) for column in columns), default=0)


class _Stage:
    """One layer of full and half adders over all columns; what they put out is for the next layer."""

    def __init__(self, wires: _Wires, columns: list[list[Value]]) -> None:
        wires.next_stage()
        self._wires = wires
        self.waiting = [deque(column) for column in columns]
        self.sums: list[list[Value]] = [[] for _ in columns]
        self.carries: list[list[Value]] = [[] for _ in columns]

    def add(self, k: int, size: int) -> None:
        """Put the first `size` (two or three) waiting bits of column k through an adder."""
        bits = [self.waiting[k].popleft() for _ in range(size)]
        total, carry = self._wires.add_bits(bits, k)
        self.sums[k].append(total)
        if k + 1 < len(self.carries):  # a carry out of the top column has no place in the result
            self.carries[k + 1].append(carry)

    def height(self, k: int) -> int:
        """Bits that column k has after this stage, with the carries known so far."""
        return len(self.waiting[k]) + len(self.sums[k]) + len(self.carries[k])


def _dadda_limits(height: int) -> list[int]:
    """The heights that the successive stages must reach: …, 9, 6, 4, 3, 2."""
    limits = [2]
    while limits[-1] * 3 // 2 < height:
        limits.append(limits[-1] * 3 // 2)
    return limits[::-1] if height > 2 else []


def _dadda_stage(wires: _Wires, columns: list[list[Value]], limit: int) -> list[list[Value]]:
    """No more adders than it takes to bring every column down to `limit`, this stage's carries included."""
    stage = _Stage(wires, columns)
    for k in range(len(columns)):
        while (excess := stage.height(k) - limit) > 0:
            stage.add(k, 3 if excess > 1 and len(stage.waiting[k]) > 2 else 2)
    # Oldest first: the bits that have waited are ready before those just made.
    return [[*stage.waiting[k], *stage.sums[k], *stage.carries[k]] for k in range(len(columns))]


def _wallace_stage(wires: _Wires, columns: list[list[Value]]) -> list[list[Value]]:
    """As many adders as the bits at hand allow."""
    stage = _Stage(wires, columns)
    for k in range(len(columns)):
        while len(stage.waiting[k]) > 2:
            stage.add(k, 3)
        if len(stage.waiting[k]) == 2 and stage.height(k) > 2:
            stage.add(k, 2)
    return [[*stage.waiting[k], *stage.sums[k], *stage.carries[k]] for k in range(len(columns))]


def _array_stage(wires: _Wires, columns: list[list[Value]]) -> list[list[Value]]:
    """One carry-save row: each column takes in one more bit."""
    stage = _Stage(wires, columns)
    for k in range(len(columns)):
        if len(stage.waiting[k]) > 2:
            stage.add(k, 3)
    # Sum and carry go to the front, so that the next stage adds the next row to them.
    return [[*stage.sums[k], *stage.carries[k], *stage.waiting[k]] for k in range(len(columns))]


def _three_greedy(wires: _Wires, columns: list[list[Value]]) -> list[list[Value]]:
    """Column by column, an adder for the bits that are ready first, until two are left; not in layers.

    The latest of three bits goes to the input of the full adder that is passed through fastest.
    """
    wires.next_stage()
    waiting = [list(column) for column in columns]
    for k, bits in enumerate(waiting):
        while len(bits) > 2:
            bits.sort(key=wires.ready)  # what came first stays first among equals
            taken = [bits.pop(0) for _ in range(3 if len(bits) % 2 == 0 or len(bits) == 3 else 2)]
            total, carry = wires.add_bits(taken, k)
            bits.append(total)
            if k + 1 < len(waiting):  # a carry out of the top column has no place in the result
                waiting[k + 1].append(carry)
    return [sorted(bits, key=wires.ready) for bits in waiting]


def _add_rows(wires: _Wires, columns: list[list[Value]], adder: str) -> Value:
    """Add the two rows that are left; columns below the first pair of bits need no adder."""
    wires.next_stage()
    low = next((k for k, column in enumerate(columns) if len(column) == 2), len(columns))
    settled = [column[0] if column else Const(0, 1) for column in columns[:low]]
    if low == len(columns):
        return Cat(*settled)
    x = [column[0] if column else Const(0, 1) for column in columns[low:]]
    y = [column[1] if len(column) == 2 else Const(0, 1) for column in columns[low:]]
    if adder == "auto":
        return Cat(*settled, (Cat(*x) + Cat(*y))[: len(x)])
    latest = [max(map(wires.ready, pair)) for pair in zip(x, y, strict=True)]
    generate = [wires.wire(x[k] & y[k], "g", low + k, latest[k] + _AND) for k in range(len(x))]
    propagate = [wires.wire(x[k] ^ y[k], "p", low + k, latest[k] + _XOR) for k in range(len(x))]
    if adder == "ripple":
        carry = _ripple(wires, low, generate, propagate)
    else:
        ready = [(wires.ready(g), wires.ready(p)) for g, p in zip(generate[:-1], propagate[:-1], strict=True)]
        carry = _prefix(wires, low, generate, propagate, GRAPHS[adder](ready))
    total = [propagate[0], *(p ^ c for p, c in zip(propagate[1:], carry, strict=False))]
    return Cat(*settled, *total)


def _ripple(wires: _Wires, low: int, generate: list[Value], propagate: list[Value]) -> list[Value]:
    carry = [generate[0]]
    for k in range(1, len(generate) - 1):
        carry.append(wires.wire(generate[k] | (propagate[k] & carry[-1]), "c", low + k + 1))
    return carry


def _prefix(wires: _Wires, low: int, generate: list[Value], propagate: list[Value], levels: list[Level]) -> list[Value]:
    """The carries that a prefix graph gives."""
    g, p = list(generate), list(propagate)
    for cells in levels:
        wires.next_stage()
        before_g, before_p = list(g), list(p)
        for k, j in cells:
            g[k] = wires.wire(before_g[k] | (before_p[k] & before_g[j]), "g", low + k)
            p[k] = wires.wire(before_p[k] & before_p[j], "p", low + k)
    return g
