"""The pictures of README.md.

    python scripts/readme_pictures.py front           what accuracy costs: selected, reduced precision, published
    python scripts/readme_pictures.py architecture    the values that everything looks at
    python scripts/readme_pictures.py page FILE.html  a report as a browser shows it, light and dark

The first is drawn from docs/figures/selection-front-sky130hd.csv (scripts/bench_select.py) and
docs/evoapprox-u8s8-sky130hd.csv (scripts/compare_evoapprox.py). The last needs Chromium and chromedriver.
"""

import csv
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from amhw.commands.base import Group
from amhw.files import write_atomically
from amhw.refusal import Refusal

DOCS = Path(__file__).resolve().parent.parent / "docs"
PICTURES = DOCS / "pictures"

SMALLEST_EXACT = 1407.60
"""µm², of the smallest exact multiplier of the same flow in sky130hd: what docs/selection.md compares with."""

FLOOR = 0.02
"""Points, under which losses are drawn on the axis: an image is 0.01, and the intervals are wider than this."""

HEADLINE = "mul_u8s8_or_1000_0_0_0_0_0_0_f0_e0"
"""What `amhw select --max-loss 0.2` answers, chosen on training images."""

INK, GREY = "#222222", "#8a8a8a"
BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # Okabe and Ito's, safe for colour-blind readers


@dataclass(frozen=True)
class Circuit:
    """A multiplier on the picture.

    Attributes:
        area: to that of the smallest exact multiplier.
        loss, half_width: accuracy lost, in points, and half of its 95 % interval where it is known.
    """

    name: str
    area: float
    loss: float
    half_width: float = 0.0

    @property
    def drawn(self) -> float:
        return max(self.loss, FLOOR)


@click.group(cls=Group)
def command() -> None:
    """The pictures of README.md."""


@command.command()
def front() -> None:
    """Accuracy lost against area, both logarithmic: docs/pictures/front.svg."""
    ours = _rows(DOCS / "figures" / "selection-front-sky130hd.csv")
    circuits = {
        row["multiplier"]: Circuit(
            row["multiplier"], float(row["balanced_area"]), float(row["loss_points"]), float(row["half_width"])
        )
        for row in ours
    }
    selected = [circuits[row["multiplier"]] for row in ours if row["on_front"] == "1"]
    masks = [circuits[row["multiplier"]] for row in ours if row["reduced_precision"] == "0"]
    plain = [circuits[row["multiplier"]] for row in ours if row["reduced_precision"] == "1"]
    published = [
        (
            Circuit(row["name"], float(row["area_um2"]) / SMALLEST_EXACT, float(row["plain_loss"])),
            Circuit(
                row["name"],
                float(row["area_um2"]) / SMALLEST_EXACT,
                float(row["remapped_loss"]),
                float(row["remapped_half_width"]),
            ),
        )
        for row in _rows(DOCS / "evoapprox-u8s8-sky130hd.csv")
    ]
    write_atomically(PICTURES / "front.svg", _front(selected, masks, plain, published, circuits[HEADLINE]))
    click.echo("docs/pictures/front.svg")


BOXES = {
    # name: (x, y, width, height, heading, lines, colour)
    "mask": (20, 60, 170, 70, "a mask or a family", ("partial products kept,", "tree, adder"), "paper"),
    "elsewhere": (20, 250, 170, 70, "from elsewhere", ("Verilog, BLIF, tables", "(EvoApproxLib, yours)"), "paper"),
    "multiplier": (240, 60, 150, 70, "Multiplier", ("one frozen value",), "blue"),
    "table": (450, 60, 170, 70, "ProductTable", ("every product", "of two operands"), "green"),
    "verilog": (450, 250, 170, 70, "Verilog", ("synthesisable,", "deterministic"), "green"),
    "accuracy": (690, 20, 200, 50, "accuracy of the network", ("all test images, in integers",), "orange"),
    "errors": (690, 85, 200, 50, "error figures", ("uniform or as operands occur",), "orange"),
    "cost": (690, 275, 200, 50, "area, delay, energy", ("Yosys, ABC, static timing",), "orange"),
    "array": (690, 210, 200, 50, "systolic array, FPGA", ("the whole convolution",), "orange"),
    "network": (950, 20, 150, 50, "Network", ("LeNet-5, or yours",), "paper"),
    "report": (950, 275, 150, 50, "table, page", ("study, report",), "paper"),
    "select": (690, 400, 200, 54, "selection", ("which products, which weights",), "blue"),
}
"""The values and what looks at them, in pixels."""

LINKS = (
    ((190, 95), (240, 95)),
    ((390, 95), (450, 95)),
    ((315, 130), (315, 285), (450, 285)),
    ((190, 300), (450, 300)),
    ((420, 300), (420, 112), (450, 112)),
    ((620, 88), (655, 88), (655, 45), (690, 45)),
    ((620, 100), (690, 110)),
    ((620, 278), (655, 278), (655, 235), (690, 235)),
    ((620, 292), (690, 300)),
    ((950, 45), (890, 45)),
    ((890, 55), (920, 55), (920, 290), (950, 290)),
    ((890, 308), (950, 308)),
    ((1100, 45), (1115, 45), (1115, 427), (890, 427)),
    ((790, 325), (790, 400)),
    ((690, 427), (215, 427), (215, 112), (240, 112)),
)

COLOURS = {"paper": "#f4f4f4", "blue": "#cfe3f7", "green": "#d6efd1", "orange": "#fbe0c3"}


@command.command()
def architecture() -> None:
    """The values that everything looks at: docs/pictures/architecture.svg."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1130 470" width="1130" height="470" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for points in LINKS:
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="#444" stroke-width="1.5" marker-end="url(#head)"/>'
        )
    # The two answers are compared.
    parts.append(
        f'<line x1="535" y1="130" x2="535" y2="250" stroke="{GREEN}" stroke-width="2" stroke-dasharray="5 3"/>'
    )
    for k, words in enumerate(("proved equal:", "every pair of operands", "is simulated")):
        parts.append(f'<text x="545" y="{178 + 17 * k}" fill="{GREEN}" font-weight="bold">{words}</text>')
    for x, y, width, height, heading, lines, colour in BOXES.values():
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{COLOURS[colour]}" stroke="#444"/>'
        )
        top = y + height / 2 + 4.5 - 8.5 * len(lines)
        for k, line in enumerate((heading, *lines)):
            bold = ' font-weight="bold"' if k == 0 else ""
            parts.append(f'<text x="{x + width / 2:g}" y="{top + 17 * k:g}" text-anchor="middle"{bold}>{line}</text>')
    write_atomically(PICTURES / "architecture.svg", "\n".join([*parts, "</svg>", ""]))
    click.echo("docs/pictures/architecture.svg")


@command.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def page(file: Path) -> None:
    """A report as a browser shows it, its first design clicked: docs/pictures/report-light.png and report-dark.png."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise Refusal("Chromium and chromedriver are not on PATH; install them (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1300,1400"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        for theme in ("light", "dark"):
            feature = [{"name": "prefers-color-scheme", "value": theme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
            browser.get(file.resolve().as_uri())
            WebDriverWait(browser, 60).until(lambda b: b.execute_script("return 'front0' in (window.views ?? {})"))
            browser.find_element("css selector", ".demands button").click()
            browser.execute_script("scrollTo(0, 0)")
            write_atomically(PICTURES / f"report-{theme}.png", browser.get_screenshot_as_png())
            click.echo(f"docs/pictures/report-{theme}.png")
    finally:
        browser.quit()


def _front(
    selected: Sequence[Circuit],
    masks: Sequence[Circuit],
    plain: Sequence[Circuit],
    published: Sequence[tuple[Circuit, Circuit]],
    headline: Circuit,
) -> bytes:
    from matplotlib.ticker import NullLocator

    figure, axes = _figure(9.6, 6)
    axes.set(xscale="log", yscale="log", xlim=(0.004, 2.1), ylim=(FLOOR * 0.82, 130))
    steps = _staircase(selected)
    axes.step([c.area for c in steps], [c.drawn for c in steps], where="post", color=BLUE, lw=2, zorder=3)
    axes.plot(
        [c.area for c in plain], [c.drawn for c in plain], "s", mfc="none", mec=ORANGE, ms=5, mew=1.1, zorder=2,
        label=f"reduced precision, 1–8 × 1–8 bits, weights remapped ({len(plain)})",
    )  # fmt: skip
    for before, after in published:
        if before.drawn > 1.3 * after.drawn:
            axes.annotate(
                "", (after.area, after.drawn), (before.area, before.drawn), zorder=1,
                arrowprops={"arrowstyle": "->", "color": GREEN, "lw": 0.8, "alpha": 0.55, "shrinkA": 3, "shrinkB": 3},
            )  # fmt: skip
    bare, fitted = zip(*published, strict=True)
    axes.plot(
        [c.area for c in bare], [c.drawn for c in bare], "^", mfc="none", mec=GREEN, ms=6, zorder=2,
        label=f"EvoApproxLib circuits as published ({len(bare)})",
    )  # fmt: skip
    axes.plot(
        [c.area for c in fitted], [c.drawn for c in fitted], "^", color=GREEN, ms=6, zorder=2,
        label="the same circuits, weights remapped by amhw",
    )  # fmt: skip
    axes.plot(
        [c.area for c in masks], [c.drawn for c in masks], "o", color=BLUE, ms=5, zorder=4,
        label="selected by amhw, weights remapped (line: the front)",
    )  # fmt: skip
    axes.plot([1], [FLOOR], "D", color=INK, ms=7, zorder=5, clip_on=False)
    axes.annotate(
        "smallest exact multiplier\n1408 µm², 99.59 % accuracy", (1, FLOOR), (1, 2.2), fontsize=9, ha="center",
        arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.8, "shrinkB": 4},
    )  # fmt: skip
    axes.plot([headline.area], [headline.loss], "o", mfc="none", mec=INK, ms=12, mew=1.6, zorder=6)
    axes.annotate(
        f"{1 / headline.area:.0f} times smaller\nat {headline.loss:.2f} points", (headline.area, headline.loss),
        (0.0145, 0.06), fontsize=15, fontweight="bold", color=INK, ha="center", va="center", zorder=7,
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.4, "shrinkB": 8, "shrinkA": 2},
    )  # fmt: skip
    axes.annotate(
        "", (headline.area, 0.0265), (1, 0.0265), arrowprops={"arrowstyle": "<|-|>", "color": INK, "lw": 1.1}, zorder=6
    )
    axes.text(
        0.28, 0.0265, f"{1 / headline.area:.0f} ×", ha="center", va="center", fontsize=11, fontweight="bold",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, zorder=7,
    )  # fmt: skip
    axes.plot([headline.area, headline.area], [0.0265, headline.loss], ":", color=INK, lw=1, zorder=1)
    axes.plot([1, 1], [FLOOR, 0.0265], ":", color=INK, lw=1, zorder=1)
    axes.text(0.0135, 38, "one bit of weight", fontsize=9, color=ORANGE)
    losses = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    axes.set_yticks([FLOOR, *losses], [f"≤ {FLOOR:g}", *(f"{loss:g}" for loss in losses)])
    areas = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
    axes.set_xticks(areas, [f"{area:g}" for area in areas])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    above = axes.secondary_xaxis("top")
    times = (200, 100, 50, 20, 10, 5, 2, 1)
    above.set_xticks([1 / k for k in times], [f"{k} ×" for k in times])
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("times smaller")
    axes.grid(color="#e8e8e8", lw=0.7)
    axes.set_xlabel("area of the multiplier / area of the smallest exact one (sky130hd, restructured, log)")
    axes.set_ylabel("accuracy lost, percentage points (log)")
    axes.set_title(
        "LeNet-5, 10,000 MNIST test images: accuracy lost to 8 × 8-bit multipliers, nothing retrained",
        fontsize=12,
        pad=12,
    )
    marks, names = axes.get_legend_handles_labels()
    figure.legend([marks[-1], *marks[:-1]], [names[-1], *names[:-1]], loc="outside lower center", ncols=2, fontsize=9.5,
                  frameon=False)  # fmt: skip
    return _svg(figure)


def _staircase(circuits: Sequence[Circuit]) -> list[Circuit]:
    """Those that lose less than every smaller one."""
    found: list[Circuit] = []
    for circuit in sorted(circuits, key=lambda c: (c.area, c.loss)):
        if not found or circuit.loss < found[-1].loss:
            found.append(circuit)
    return found


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "amhw"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return figure, figure.subplots()


def _svg(figure: Any) -> bytes:
    import io

    text = io.BytesIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    command()
