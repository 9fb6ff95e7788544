"""Windows: addresses, banks, rotation into the window's order, and the mask of the padding."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import ReadPort

from amhw.array.delay import delayed
from amhw.array.loops import Loops
from amhw.array.plan import POOL, ConvPlan
from amhw.array.rotation import rotated


def window_of(
    m: Module,
    plan: ConvPlan,
    walk: Loops,
    image: list[list[ReadPort]],
    buffer: Signal,
    maps: list[list[ReadPort]],
) -> Value:
    """The packed activations of the window of the position that was issued FETCH cycles ago."""
    kernel = plan.kernel
    layer, sub = walk.index["layer"], walk.index["sub"]
    span = POOL * max(plan.pooled for plan in plan.layers)
    corners = {}
    for axis, block, within in (("y", walk.index["py"], sub[1]), ("x", walk.index["px"], sub[0])):
        position = Signal(range(span), name=f"position_{axis}")
        m.d.comb += position.eq(Cat(within, block))
        corners[axis] = _Corner.of(m, axis, position, layer, plan)
    y, x = corners["y"], corners["x"]

    # Cycle 1: the address of the window's corner in each memory. A bank reads it, or the next row's or column's.
    addresses = []
    for name, ports, per_bank, offset in (
        (
            "image",
            image,
            -(-plan.layers[0].side // kernel),
            Mux(buffer, (-(-plan.layers[0].side // kernel)) ** 2, 0),
        ),
        ("map", maps, -(-plan.layers[1].side // kernel), Const(0)),
    ):
        bits = len(ports[0][0].addr)
        corner = Signal(bits, name=f"{name}_corner")
        m.d.sync += corner.eq(y.quotient * per_bank + x.quotient + offset)
        addresses.append((ports, corner, per_bank))
    y1, x1 = y.later(m, "y1"), x.later(m, "x1")
    for ports, corner, per_bank in addresses:
        near = [[Signal.like(corner, name_suffix=f"_{i}{j}") for j in range(2)] for i in range(2)]
        m.d.comb += [near[i][j].eq(corner + i * per_bank + j) for i in range(2) for j in range(2)]
        for i in range(kernel):
            for j in range(kernel):
                below, right = y1.remainder > i, x1.remainder > j
                m.d.comb += ports[i][j].addr.eq(
                    Mux(below, Mux(right, near[1][1], near[1][0]), Mux(right, near[0][1], near[0][0]))
                )

    # Cycle 2: choose the memory and the channel, rotate the banks into the window's order, mask the padding.
    y2, x2 = y1.later(m, "y2"), x1.later(m, "x2")
    from_map = delayed(m, layer, 2, "from_map")
    channel = delayed(m, walk.index["channel"], 2, "channel")
    width = len(plan.widths.bits_a)
    grid: list[list[Value]] = []
    for i in range(kernel):
        grid.append([])
        for j in range(kernel):
            word = Signal(width, name=f"bank_{i}_{j}")
            stored = Value.cast(maps[i][j].data).word_select(channel, width)
            m.d.comb += word.eq(Mux(from_map, stored, image[i][j].data))
            grid[i].append(word)
    grid = rotated(m, "rows", grid, y2.remainder)
    turned = rotated(m, "columns", [list(column) for column in zip(*grid, strict=True)], x2.remainder)
    window = Signal(kernel**2 * width, reset_less=True)
    taps = [turned[j][i] & (y2.inside[i] & x2.inside[j]).replicate(width) for i in range(kernel) for j in range(kernel)]
    m.d.sync += window.eq(Cat(*taps))
    return window


class _Corner:
    """A window's corner along one axis: bank (remainder), place there (quotient), and the taps not in the padding."""

    def __init__(self, quotient: Value, remainder: Signal, inside: Signal) -> None:
        self.quotient, self.remainder, self.inside = quotient, remainder, inside

    @classmethod
    def of(cls, m: Module, axis: str, position: Signal, layer: Value, plan: ConvPlan) -> "_Corner":
        """The corner of the window at an output position along `axis`."""
        kernel = plan.kernel
        furthest = -(-plan.image_side // kernel)
        quotient = Signal(range(-furthest - 1, furthest + 1), name=f"{axis}_quotient")
        remainder = Signal(range(kernel), name=f"{axis}_remainder")
        inside = Signal(kernel, name=f"{axis}_inside")
        with m.Switch(Cat(position, layer)):
            for index, described in enumerate(plan.layers):
                for at in range(POOL * described.pooled):
                    corner = at - described.padding
                    with m.Case(at | index << len(position)):
                        m.d.comb += [
                            quotient.eq(corner // kernel),
                            remainder.eq(corner % kernel),
                            inside.eq(sum(1 << t for t in range(kernel) if 0 <= corner + t < described.side)),
                        ]
        return cls(quotient, remainder, inside)

    def later(self, m: Module, name: str) -> "_Corner":
        """Remainder and taps one cycle later; the quotient has become part of an address."""
        remainder = Signal.like(self.remainder, name=f"{name}_remainder", reset_less=True)
        inside = Signal.like(self.inside, name=f"{name}_inside", reset_less=True)
        m.d.sync += [remainder.eq(self.remainder), inside.eq(self.inside)]
        return _Corner(Const(0), remainder, inside)
