"""The report page: one HTML file that needs no network."""

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt
import vl_convert

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 0 auto; max-width: 1100px; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 0.4rem; }
.row { display: flex; flex-wrap: wrap; gap: 0.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.85rem; }
figure { margin: 0 1% 1rem 0; display: inline-block; width: min(32%, 360px); min-width: 290px; }
figure img { width: 100%; height: auto; }
svg text { white-space: pre; }
#vg-tooltip-element { max-width: 95vw; }
#vg-tooltip-element table tr td.value { max-width: none; max-height: none; overflow: visible; text-align: left;
  white-space: pre; font: 12px/1.25 ui-monospace, monospace; display: table-cell; }
"""

_SHOW = (
    "vegaEmbed({target}, innerWidth < 760 ? {narrow} : {wide}, {{actions: false, renderer: 'svg'}})"
    ".then(shown => {{ (window.views ??= {{}})[{name}] = shown.view; }});"
)


def page(title: str, sections: Iterable[str]) -> str:
    """The page, with the charts' library inside."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f"<script>{_library()}</script>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n" + "\n".join(sections) + "\n</body>\n</html>\n"
    )


def chart(name: str, wide: alt.TopLevelMixin, narrow: alt.TopLevelMixin | None = None) -> str:
    """A chart; on a narrow screen the narrow one. Its Vega view is ``window.views[name]``."""
    specs = [_script_safe((narrow or wide).to_json(indent=None)), _script_safe(wide.to_json(indent=None))]
    show = _SHOW.format(target=json.dumps(f"#{name}"), narrow=specs[0], wide=specs[1], name=json.dumps(name))
    return f'<div class="scroll"><div id="{name}"></div></div>\n<script>{show}</script>'


def section(heading: str, *parts: str) -> str:
    """A heading and what stands under it."""
    return f"<section>\n<h2>{html.escape(heading)}</h2>\n" + "\n".join(parts) + "\n</section>"


def heading(text: str) -> str:
    """A heading within a section."""
    return f"<h3>{html.escape(text)}</h3>"


def side_by_side(*parts: str) -> str:
    """Charts in a row, beneath each other where there is no room."""
    return '<div class="row">\n' + "\n".join(parts) + "\n</div>"


def paragraph(text: str) -> str:
    """Plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def picture(png: bytes, description: str) -> str:
    """A PNG inside the page."""
    data = base64.b64encode(png).decode()
    return f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(description)}"></figure>'


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table that scrolls sideways on a narrow screen."""
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def facts(items: Mapping[str, Any]) -> str:
    """Names and values, one a line."""
    return table(["", "value"], items.items())


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element that holds it."""
    return text.replace("</", "<\\/")


def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script."""
    return vl_convert.javascript_bundle("window.vega = vega; window.vegaLite = vegaLite; window.vegaEmbed = vegaEmbed;")
