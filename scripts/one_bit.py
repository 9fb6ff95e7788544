"""One-bit and ternary products beside masks of a few partial products: accuracy against area, the picture of
docs/effort.md.

    for m in sign_bb …; do amhw train mul_u8s8_$m --data FOLDER --epochs 4 --out made/$m.npz --json > made/$m.json; done
    python scripts/one_bit.py made

Areas are the least of all recipes: of the multiplier alone, and of a multiply-accumulate with a 24-bit sum whose
product and sum share one bit heap, as an array's element has it. Writes docs/figures/one-bit.csv and
docs/pictures/one-bit.svg.
"""

import argparse
import csv
import io
import json
from pathlib import Path

from matplotlib.figure import Figure

from amhw import parse
from amhw.effort.accumulation import multiply_accumulate
from amhw.files import write_atomically
from amhw.svg import svg
from amhw.synth import RECIPES, Synthesiser, technology_named
from amhw.verilog import emit

DOCS = Path(__file__).resolve().parent.parent / "docs"

SUM = 24

KINDS = {"sign": ("o", "tab:orange", "signs: b −1, +1; u 0, +1; t −1, 0, +1"), "pp": ("s", "tab:blue", "masks")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with what amhw train --json printed")
    parser.add_argument("--tech", default="sky130hd")
    arguments = parser.parse_args()
    rows = []
    with Synthesiser(technology_named(arguments.tech), RECIPES, workers=1) as synthesiser:
        for path in sorted(arguments.folder.glob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            multiplier = parse(record["multiplier"])
            unit = multiply_accumulate(multiplier, SUM, 0)
            alone = synthesiser.submit(emit(multiplier.create(), multiplier.name), multiplier.name).result()
            whole = synthesiser.submit(emit(unit, unit.name), unit.name).result()
            row = {
                "multiplier": multiplier.name,
                "accuracy": f"{record['accuracy']:.4f}",
                "area_um2": f"{alone.area_um2:.1f}",
                "mac_area_um2": f"{whole.area_um2:.1f}",
                "mac_delay_ps": f"{whole.delay_ps:.0f}",
            }
            rows.append(row)
            print("  ".join(row.values()), flush=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(DOCS / "figures" / "one-bit.csv", text.getvalue())
    write_atomically(DOCS / "pictures" / "one-bit.svg", svg(picture(rows, arguments.tech)))


def picture(rows: list[dict[str, str]], tech: str) -> Figure:
    """Accuracy against both areas."""
    figure = Figure(figsize=(10, 4.2), layout="constrained", facecolor="white")
    for axes, (column, what) in zip(
        figure.subplots(1, 2, sharey=True),
        {"area_um2": "the multiplier", "mac_area_um2": f"a multiply-accumulate, {SUM}-bit sum"}.items(),
        strict=True,
    ):
        for kind, (marker, colour, label) in KINDS.items():
            some = [row for row in rows if row["multiplier"].split("_")[2] == kind]
            points = [(float(row[column]), 100 * float(row["accuracy"])) for row in some]
            axes.scatter(*zip(*points, strict=True), marker=marker, color=colour, label=label, zorder=3)
            for row, place in zip(some, points, strict=True):
                name = " ".join(part for part in row["multiplier"].split("_")[3:] if part != "0")
                axes.annotate(name, place, xytext=(5, -9), textcoords="offset points", fontsize=8)
        axes.set(xlabel=f"area of {what}, µm²")
        axes.margins(x=0.12)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("accuracy, % of 10,000 test images")
    figure.axes[0].legend(loc="lower right")
    figure.suptitle(
        "LeNet-5 fine-tuned through the products of its convolutions; masks by their last rows. "
        f"Areas in {tech}, restructured",
        fontsize="medium",
    )
    return figure


if __name__ == "__main__":
    main()
