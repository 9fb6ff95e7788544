"""The loops over an image's two layers."""

from amaranth.hdl import Module, Mux, Signal, Value

from amhw.array.loops import Loops
from amhw.array.plan import POOL, ConvPlan


def walk_of(m: Module, step: Value, plan: ConvPlan, prefix: str) -> Loops:
    """The loop counters over one image; their limits depend on the layer."""
    layer = Signal(name=f"{prefix}in_layer")
    first, second = plan.layers

    def limit(member: str) -> int | tuple[Value, int]:
        values = getattr(first, member), getattr(second, member)
        return values[0] if values[0] == values[1] else (Mux(layer, values[1], values[0]), max(values))

    walk = Loops(
        m,
        step,
        {
            "sub": POOL**2,
            "px": limit("pooled"),
            "py": limit("pooled"),
            "channel": limit("channels"),
            "group": limit("groups"),
            "layer": 2,
        },
        prefix,
    )
    m.d.comb += layer.eq(walk.index["layer"])
    return walk
