"""Max-pooling: positions come in blocks, so it is a running maximum and takes no line of memory."""

from amaranth.hdl import Module, Mux, Signal, Value

from amhw.array.delay import delay_line, delayed
from amhw.array.loops import Loops
from amhw.array.plan import ConvPlan


def pooled(m: Module, plan: ConvPlan, coming: Value, retire: Loops, totals: list[Signal]) -> tuple["Tag", list[Signal]]:
    """Max-pooling: the greatest sum of each 2×2 block, held for `phases` cycles, and where the block belongs."""
    begins = delayed(m, retire.index["sub"] == 0, 2, "block_begins")
    tag = Tag(m, "pooled", plan, 3)
    tag.load(m, retire, coming & retire.last["channel"] & retire.last["sub"])
    held = []
    for j, total in enumerate(totals):
        best = Signal(total.shape(), name=f"best_{j}", reset_less=True)
        hold = Signal(total.shape(), name=f"hold_{j}", reset_less=True)
        greater = Signal(total.shape(), name=f"greater_{j}")
        m.d.comb += greater.eq(Mux(begins | (total > best), total, best))
        m.d.sync += best.eq(greater)
        with m.If(tag.early):
            m.d.sync += hold.eq(greater)
        held.append(hold)
    return tag, held


class Tag:
    """Layer, group and block that held sums belong to; `valid` is high in the first cycle in which they are held."""

    def __init__(self, m: Module, name: str, plan: ConvPlan, cycles: int) -> None:
        self._cycles, self._name, self._plan = cycles, name, plan

    def load(self, m: Module, retire: Loops, complete: Value) -> None:
        """Take them from `retire`: `early` is high one cycle before `valid`; the rest holds until the next `valid`."""
        complete_line = delay_line(m, complete, self._cycles, f"{self._name}_valid", reset_less=False)
        self.early, self.valid = complete_line[-2], complete_line[-1]
        fields = {}
        for field in ("layer", "group", "py", "px"):
            before = delayed(m, retire.index[field], self._cycles - 1, f"{self._name}_{field}_next")
            kept = Signal(len(before), name=f"{self._name}_{field}", reset_less=True)
            with m.If(self.early):
                m.d.sync += kept.eq(before)
            fields[field] = kept
        self.layer, self.group, self.py, self.px = fields.values()
