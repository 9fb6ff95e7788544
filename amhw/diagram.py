"""A multiplier's dot diagram, and the stages that add the dots up, as a picture."""

from html import escape

from amhw.bitheap import stage_heights
from amhw.families import Masked
from amhw.multiplier import Multiplier
from amhw.verilog import Design

_CELL, _MARGIN = 22, 46
_KEPT, _NEGATIVE, _DROPPED, _INK = "#0072b2", "#d55e00", "#cccccc", "#222222"


def picture(design: Design) -> str:
    """The dot diagram and the stages of the tree as SVG: each dot a bit, each column a weight, the heaviest left."""
    multiplier = design.multiplier
    width = multiplier.width_a + multiplier.width_b
    shapes: list[str] = []
    top: float = _MARGIN + _CELL

    def dot(column: int, y: float, colour: str, filled: bool = True) -> None:
        x = _MARGIN + (width - 1 - column + 0.5) * _CELL
        fill = colour if filled else "none"
        shapes.append(f'<circle cx="{x:g}" cy="{y:g}" r="6" fill="{fill}" stroke="{colour}"/>')

    def text(x: float, y: float, words: str, anchor: str = "middle") -> None:
        shapes.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>')

    text(_MARGIN, 16, f"{design.name}", "start")
    for column in range(width):
        text(_MARGIN + (width - 0.5 - column) * _CELL, _MARGIN, str(column))
    if isinstance(multiplier, Masked):
        for i, row in enumerate(multiplier.rows):
            text(8, top + 4, f"a{i}", "start")
            for j in range(multiplier.width_b):
                kept = bool(row >> j & 1)
                colour = (_NEGATIVE if multiplier.is_negative(i, j) else _KEPT) if kept else _DROPPED
                dot(i + j, top, colour, kept)
            top += _CELL
        top += _CELL
        keys = [(_KEPT, True, "kept"), (_NEGATIVE, True, "kept, of negative weight"), (_DROPPED, False, "left out")]
        x: float = _MARGIN
        shapes.append("<g>")
        for colour, filled, words in keys:
            fill = colour if filled else "none"
            shapes.append(f'<circle cx="{x + 6:g}" cy="{top:g}" r="6" fill="{fill}" stroke="{colour}"/>')
            text(x + 18, top + 4, words, "start")
            x += 40 + 6 * len(words)
        shapes.append("</g>")
        top += 1.5 * _CELL
    for number, heights in enumerate(stages(design)):
        what = "heap: the bits to be added, and the constant's" if number == 0 else f"after stage {number} of the tree"
        text(_MARGIN, top + 4, what, "start")
        top += _CELL
        for level in range(max(heights, default=0)):
            for column, height in enumerate(heights):
                if level < height:
                    dot(column, top, _INK)
            top += _CELL * 0.7
        top += _CELL * 0.7
    size = (_MARGIN * 2 + width * _CELL, top)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:g} {size[1]:g}" width="{size[0]:g}" '
        f'height="{size[1]:g}" font-family="sans-serif" font-size="12" fill="{_INK}">\n'
        + '<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


def stages(design: Design) -> list[list[int]]:
    """Column heights of the heap and after each stage of the tree, the constant's bits included."""
    multiplier: Multiplier = design.multiplier
    return stage_heights(multiplier.layout(), multiplier.width_a + multiplier.width_b, tree=design.tree)
