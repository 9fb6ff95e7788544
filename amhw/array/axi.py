"""AXI4-Stream names around a component that has Amaranth streams.

A stream ``x`` that comes in becomes ``s_axis_x_tdata``, ``_tvalid`` and ``_tready``; one that goes out becomes
``m_axis_x_…``. A payload with a member ``last`` has it as ``_tlast``, and its member ``data`` as ``_tdata``. Data are
padded to whole bytes. The rules of AXI4-Stream are those of `amaranth.lib.stream`: a transfer happens where valid
and ready meet, a valid payload stays until it is taken, and valid never waits for ready.

Source: Arm, "AMBA AXI-Stream Protocol Specification", IHI 0051B, 2021.
"""

from typing import Any

from amaranth.hdl import Module, Shape, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class AxiStreamTop(wiring.Component):
    """`core` with its streams under AXI4-Stream names; its other members keep their own."""

    def __init__(self, core: wiring.Component) -> None:
        self.core = core
        ports: dict[str, wiring.Member] = {}
        self._streams: dict[str, str] = {}
        for name, member in core.signature.members.items():
            if not (member.is_signature and isinstance(member.signature, stream.Signature)):
                ports[name] = member
                continue
            prefix = f"{'s' if member.flow is In else 'm'}_axis_{name}"
            forward, backward = (In, Out) if member.flow is In else (Out, In)
            self._streams[name] = prefix
            bits, has_last = _payload(member.signature.members["payload"].shape)
            ports[f"{prefix}_tdata"] = forward(-(-bits // 8) * 8)
            ports[f"{prefix}_tvalid"] = forward(1)
            ports[f"{prefix}_tready"] = backward(1)
            if has_last:
                ports[f"{prefix}_tlast"] = forward(1)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self.core
        for name, member in core.signature.members.items():
            inner = getattr(core, name)
            if name not in self._streams:
                outer = getattr(self, name)
                m.d.comb += inner.eq(outer) if member.flow is In else outer.eq(inner)
                continue
            tdata, tvalid, tready = (
                getattr(self, f"{self._streams[name]}_{part}") for part in ("tdata", "tvalid", "tready")
            )
            _, has_last = _payload(member.signature.members["payload"].shape)
            payload = inner.payload.data if has_last else inner.payload
            pairs = [(Value.cast(payload), tdata), (inner.valid, tvalid)]
            if has_last:
                pairs.append((inner.payload.last, getattr(self, f"{self._streams[name]}_tlast")))
            if member.flow is In:
                m.d.comb += [*(ours.eq(theirs) for ours, theirs in pairs), tready.eq(inner.ready)]
            else:
                m.d.comb += [*(theirs.eq(ours) for ours, theirs in pairs), inner.ready.eq(tready)]
        return m


def _payload(shape: Any) -> tuple[int, bool]:
    """Bits of a payload's data, and whether it says which beat is the last."""
    if isinstance(shape, data.StructLayout) and set(shape.members) == {"data", "last"}:
        return Shape.cast(shape.members["data"]).width, True
    return Shape.cast(shape).width, False
