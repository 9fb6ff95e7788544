"""A placed netlist as a picture: cells in their rows, coloured by what they are, and the longest path across them."""

from collections.abc import Iterator
from html import escape

from amhw.synth.layout import Layout
from amhw.synth.netlist import Gate

_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d755d", "#72b7b2", "#eeca3b", "#bab0ac")
_PATH = "#d62728"
_SCALE = 10
"""Pixels a µm at most; large cores are drawn smaller."""

_LARGEST = 1200
_MARGIN, _TEXT = 24, 16


def picture(layout: Layout, title: str) -> str:
    """The SVG file. In a hierarchy the colours are those of the modules, else of the kinds of cell."""
    placement = layout.placement
    scale = min(_SCALE, _LARGEST / max(placement.width, placement.height))
    kinds = list(dict.fromkeys(sorted(_kind(gate, layout) for gate in layout.netlist.instances)))
    colours = {kind: _COLOURS[min(k, len(_COLOURS) - 1)] for k, kind in enumerate(kinds)}
    legend = [*((colours[kind], kind) for kind in kinds), (_PATH, f"longest path, {layout.delay_ps:.0f} ps")]
    below = _MARGIN + placement.height * scale + _MARGIN
    width = max(2 * _MARGIN + placement.width * scale, 260)
    height = below + _TEXT * (len(legend) + 1) + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<g transform="translate({_MARGIN} {_MARGIN + placement.height * scale:.2f}) '
        f'scale({scale:.4f} {-scale:.4f})">',
        f'<rect width="{placement.width:.3f}" height="{placement.height:.3f}" fill="#f4f4f4" stroke="#888" '
        f'stroke-width="{1 / scale:.3f}"/>',
        *_cells(layout, colours, scale),
        *_ports(layout, scale),
        *_path(layout, scale),
        "</g>",
    ]
    for k, (colour, said) in enumerate(legend):
        y = below + _TEXT * k
        lines.append(f'<rect x="{_MARGIN}" y="{y - 9:.1f}" width="10" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{_MARGIN + 16}" y="{y:.1f}">{escape(said)}</text>')
    said = f"{placement.width:.1f} × {placement.height:.1f} µm, {layout.wires.length_um:.0f} µm of wire"
    lines.append(f'<text x="{_MARGIN}" y="{below + _TEXT * len(legend):.1f}">{said}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _kind(gate: Gate, layout: Layout) -> str:
    if len(layout.netlist.modules) > 1:
        return layout.netlist.modules.get(gate.scope, gate.scope)
    if gate.cell.flip_flop is not None:
        return "register"
    if len(gate.cell.outputs) > 1:
        return "full adder" if len(gate.cell.inputs) == 3 else "half adder"
    if len(gate.cell.inputs) == 1:
        return "inverter or buffer"
    return "exclusive or" if "^" in gate.cell.outputs[0].function else "other gate"


def _cells(layout: Layout, colours: dict[str, str], scale: float) -> Iterator[str]:
    row = layout.placement.row_height
    for gate, (x, y) in zip(layout.netlist.instances, layout.placement.gates, strict=True):
        width = gate.cell.area / row
        yield (
            f'<rect x="{x - width / 2:.3f}" y="{y - row / 2:.3f}" width="{width:.3f}" height="{row:.3f}" '
            f'fill="{colours[_kind(gate, layout)]}" fill-opacity="0.55" stroke="white" '
            f'stroke-width="{0.6 / scale:.3f}">'
            f"<title>{escape(f'{gate.cell.name} {gate.name}')}</title></rect>"
        )


def _ports(layout: Layout, scale: float) -> Iterator[str]:
    for name, (x, y) in layout.placement.ports.items():
        circle = f'<circle cx="{x:.3f}" cy="{y:.3f}" r="{3 / scale:.3f}" fill="#333">'
        yield f"{circle}<title>{escape(name)}</title></circle>"


def _path(layout: Layout, scale: float) -> Iterator[str]:
    places = dict(zip((gate.name for gate in layout.netlist.instances), layout.placement.gates, strict=True))
    ports = layout.placement.ports
    points = [ports[layout.timing.start]] if layout.timing.start in ports else []
    points += [places[step.gate] for step in layout.timing.path if step.gate in places]
    points += [ports[layout.timing.end]] if layout.timing.end in ports else []
    drawn = " ".join(f"{x:.3f},{y:.3f}" for x, y in points)
    width = f'stroke-width="{2.5 / scale:.3f}"'
    yield f'<polyline points="{drawn}" fill="none" stroke="{_PATH}" {width} stroke-linejoin="round"/>'
