"""The report page: one HTML file that needs no network."""

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

import altair as alt
import vl_convert

from amhw.report.source import PageRow

TEXT = ' class="text"'

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
<script>{library}</script>
</head>
<body>
<header><h1>{title}</h1><button id="theme" type="button">light / dark</button></header>
{sections}
<script>
{script}</script>
</body>
</html>
"""


def page(title: str, sections: Iterable[str]) -> str:
    """The page, with the charts' library inside."""
    return FRAME.format(
        title=html.escape(title),
        style=_own("page.css"),
        library=_library(),
        sections="\n".join(sections),
        script=_own("page.js"),
    )


def chart(name: str, drawn: alt.TopLevelMixin) -> str:
    """A chart, drawn as wide as there is room. Its Vega view is ``window.views[name]``."""
    spec = data(f"{name}-spec", json.loads(drawn.to_json(indent=None)))
    return f'<div class="scroll"><div id="{name}" class="chart"></div></div>\n{spec}'


def data(name: str, values: Any) -> str:
    """Values for the page's script, under an element's id."""
    # No text inside can end the element that holds it.
    text = json.dumps(values, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def explorer(name: str, drawn: alt.TopLevelMixin, designs: Sequence[Mapping[str, Any]], hint: str) -> str:
    """A front's charts with a place for the designs that are clicked beside them.

    Args:
        designs: what is shown of each, by the `id` of its point.
        hint: what stands there before anything is clicked.
    """
    return (
        f'<div class="explorer">\n{chart(name, drawn)}\n'
        f'<aside class="cards" id="{name}-cards" data-hint="{html.escape(hint)}"></aside>\n</div>\n'
        + data(f"{name}-designs", designs)
    )


def section(heading: str, *parts: str) -> str:
    """A heading and what stands under it."""
    return f"<section>\n<h2>{html.escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{html.escape(text)}</h3>"


def side_by_side(*parts: str) -> str:
    """Charts in a row, beneath each other where there is no room."""
    return '<div class="row">\n' + "\n".join(parts) + "\n</div>"


def picture(svg: bytes, words: str) -> str:
    """An SVG as an image, in which no script runs; `words` say what it shows."""
    address = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return f'<div class="scroll"><img class="picture" alt="{html.escape(words)}" src="{address}"></div>'


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def demands(front: str, answers: Iterable[tuple[str, str, str, str, int | None]]) -> str:
    """What was wanted; what was found, in a word and in a sentence; by which design, and the `id` of its point."""
    items = []
    for want, found, sentence, design, number in answers:
        link = (
            ""
            if number is None
            else f'<button class="plain" type="button" data-front="{front}" data-show="{number}" data-only>'
            f"{html.escape(design)}</button>"
        )
        items.append(
            f'<li><span class="want">{html.escape(want)}</span><strong>{html.escape(found)}</strong>'
            f"{html.escape(sentence)}<br>{link}</li>"
        )
    return '<ul class="demands">\n' + "\n".join(items) + "\n</ul>"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls sideways on a narrow screen."""
    listed = list(rows)
    words = _of_words(listed)
    head = "".join(_cell(heading, text, "th") for heading, text in zip(headings, words, strict=False))
    lines = ["".join(_cell(cell, text) for cell, text in zip(row, words, strict=True)) for row in listed]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def designs_table(
    front: str, headings: Sequence[str], rows: Sequence[PageRow], numbers: Mapping[tuple[str, str], int]
) -> str:
    """A table that sorts by the heading that is clicked, filters by words, and unfolds.

    Args:
        front: whose charts show a row's design when its name is clicked.
        numbers: the `id` of its point, by name and group.
    """
    words = _of_words([row.cells for row in rows])
    head = "".join(
        f'<th{TEXT if text else ""}><button class="plain" type="button">{html.escape(heading)}</button></th>'
        for heading, text in zip(headings, words, strict=False)
    )
    lines = []
    for row in rows:
        name, *cells = row.cells
        rest = "".join(_cell(cell, text) for cell, text in zip(cells, words[1:], strict=True))
        number = numbers.get((row.name, row.group))
        shown = html.escape(str(name))
        if number is not None:
            shown = f'<button class="plain" type="button" data-front="{front}" data-show="{number}">{shown}</button>'
        unfold = '<button class="unfold" type="button" aria-expanded="false" title="netlists">▸</button>'
        first = f'<td data-value="{html.escape(str(name))}">{unfold if row.details else ""}{shown}</td>'
        mark = "" if number is None else f' data-front="{front}" data-id="{number}"'
        lines.append(f'<tr class="main"{mark}>{first}{rest}</tr>')
        if row.details:
            inside = table(row.details.headings, row.details.rows)
            note = f"<p>{html.escape(row.details.note)}</p>" if row.details.note else ""
            lines.append(f'<tr class="inner" hidden><td colspan="{len(headings)}">{note}{inside}</td></tr>')
    body = "\n".join(lines)
    return (
        '<div class="table">\n<div class="tools"><input type="search" placeholder="filter: words of a row" '
        'aria-label="filter"><span class="count"></span></div>\n'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div></div>'
    )


def facts(items: Mapping[str, Any]) -> str:
    """Names and values, one a line."""
    return table(["", "value"], items.items())


def _of_words(rows: Sequence[Sequence[object]]) -> list[bool]:
    """Whether a column has words, which stand at its left; figures stand at its right."""
    columns = [[str(cell) for cell in column] for column in zip(*rows, strict=True)]
    return [any(cell and not cell[0].isdigit() and cell[0] not in "-−–" for cell in column) for column in columns]


def _cell(value: object, words: bool, element: str = "td") -> str:
    return f"<{element}{TEXT if words else ''}>{html.escape(str(value))}</{element}>"


def _own(name: str) -> str:
    return files("amhw.report").joinpath(name).read_text(encoding="utf-8")


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    return vl_convert.javascript_bundle("window.vega = vega; window.vegaLite = vegaLite; window.vegaEmbed = vegaEmbed;")
