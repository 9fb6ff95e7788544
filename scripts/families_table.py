"""Make docs/families.md: every family's picture, error figures, area and delay.

python scripts/families_table.py            writes docs/families.md (minutes: it synthesises every
multiplier) python scripts/families_table.py --check    exit 1 if the pictures or error figures there
are out of date
"""

import importlib
import inspect
import re
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from amhw.errors import Errors
from amhw.families import Bfloat16, Masked, Mitchell
from amhw.families.catalogue import representatives
from amhw.families.exact import exact_structures
from amhw.multiplier import Multiplier
from amhw.synth import Synthesiser, SynthesisResult, Technology
from amhw.table import ProductTable
from amhw.verilog import Design, emit

DOCUMENT = Path(__file__).parent.parent / "docs" / "families.md"
TECHNOLOGY = "sky130hd"

SECTIONS = (
    ("Masked", "masked"),
    ("Broken array and perforation", "broken_array"),
    ("Compensated truncation", "compensated"),
    ("Booth", "booth"),
    ("OR-compressed columns", "or_compressed"),
    ("Lower-part-OR adder", "lower_or"),
    ("Approximate 4:2 compressors", "compressors"),
    ("Underdesigned 2 × 2 blocks (Kulkarni)", "kulkarni"),
    ("DRUM and SSM: segments", "segmented"),
    ("Mitchell and Mitch-w: logarithms", "mitchell"),
    ("RoBA: rounding to powers of two", "roba"),
    ("Signs: SignMagnitude", "sign_magnitude"),
    ("Operands encoded on their own", "encoded"),
    ("bfloat16", "bfloat16"),
)

KINDS = {"u8u8": (False, False), "u8s8": (False, True)}

INTRODUCTION = """\
# Multiplier families

One table for each kind of operands, and one section for each family: what it computes, a picture, where it
comes from. `python scripts/families_table.py` makes this whole file; `amhw families` lists the same
families with their parameters.

MAE is the mean absolute error, WCE the worst, ME the mean (signed) error, MRED the mean relative error over
pairs whose exact product is not zero, EP the share of wrong products; all over the 65,536 operand pairs,
each counted once. Areas and delays are restructured: of the smallest and of the fastest netlist among the recipes of
`amhw synth`, as in `amhw study`, in {technology} ({tool}); the ratios are to the smallest and to the
fastest exact circuit of this package (Dadda trees and Booth recoding with several final adders,
`amhw.families.exact`). Families that multiply magnitudes stand in the u8s8 table inside `SignMagnitude`,
whose cost is included. Error figures over uniform operands say little about a network: there, small
operands prevail. `amhw errors --distribution` weighs them. The exact bfloat16 row shows the rounding to 8
significant bits.
"""


def main() -> int:
    if sys.argv[1:] == ["--check"]:
        return check()
    with Synthesiser(Technology.named(TECHNOLOGY), workers=1) as synthesiser:
        tables = [table(kind, synthesiser) for kind in KINDS]
        floating = bfloat16_table(synthesiser)
    tool = tables[0][1]
    parts = [INTRODUCTION.format(technology=TECHNOLOGY, tool=tool)]
    for kind, (text, _) in zip(KINDS, tables, strict=True):
        parts.append(f"## {kind}\n\n{text}\n")
    parts.append(f"## bfloat16 products\n\n{floating}\n")
    parts += [section(title, module) for title, module in SECTIONS]
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text("\n".join(parts))
    return 0


def check() -> int:
    """Whether the sections and the error figures are those of the present code; costs are not computed again."""
    text = DOCUMENT.read_text()
    wanted = [section(title, module) for title, module in SECTIONS]
    for signed_a, signed_b in KINDS.values():
        wanted += [
            f" | `{multiplier.name}` | {figures(multiplier)} |"
            for _, multiplier in representatives(signed_a=signed_a, signed_b=signed_b)
        ]
    missing = [part for part in wanted if part not in text]
    for part in missing:
        print(f"docs/families.md lacks: {part.splitlines()[0]}")
    return 1 if missing else 0


def table(kind: str, synthesiser: Synthesiser) -> tuple[str, str]:
    """The Markdown table of one kind of operands, and the tool that gave its costs."""
    signed_a, signed_b = KINDS[kind]
    exact = Masked.exact(8, 8, signed_a=signed_a, signed_b=signed_b)
    designs = [Design(*built) for built in exact_structures(8, 8, signed_a=signed_a, signed_b=signed_b)]
    trees = {
        design.name: result(synthesiser, design.verilog(), design.name)
        for design in track(designs, f"{kind} exact", console=_console())
    }
    smallest = min(trees, key=lambda name: trees[name].best_area.area_um2)
    fastest = min(trees, key=lambda name: trees[name].best_delay.delay_ps)
    area, delay = trees[smallest].best_area.area_um2, trees[fastest].best_delay.delay_ps
    operator = result(synthesiser, star(signed_a, signed_b), "star")
    rows = [
        ("the operator", "a*b", figures(exact), operator),
        ("smallest exact", smallest, figures(exact), trees[smallest]),
        ("fastest exact", fastest, figures(exact), trees[fastest]),
    ]
    entries = representatives(signed_a=signed_a, signed_b=signed_b)
    for entry, multiplier in track(entries, f"{kind} families", console=_console()):
        if multiplier.name in (name for _, name, *_ in rows):
            continue
        cost = result(synthesiser, Design(multiplier).verilog(), multiplier.name)
        rows.append((entry.title, multiplier.name, figures(multiplier), cost))
    lines = [
        "| multiplier | name | MAE | WCE | ME | MRED % | EP % | 0·x = 0 | area µm² | × exact | delay ps | × exact |",
        "|---|---|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|",
    ]
    for title, name, errors, cost in rows:
        small, fast = cost.best_area.area_um2, cost.best_delay.delay_ps
        lines.append(
            f"| {title} | `{name}` | {errors} | {small:.0f} | {small / area:.2f} | {fast:.0f} | {fast / delay:.2f} |"
        )
    return "\n".join(lines), operator.tool


def bfloat16_table(synthesiser: Synthesiser) -> str:
    """bfloat16 multipliers around several significand cores: relative errors of normal numbers' products, and costs."""
    cores = [
        Masked.exact(8, 8),
        Mitchell(bits=8, width_a=8, width_b=8),
        Mitchell(bits=6, width_a=8, width_b=8),
        Mitchell(bits=6, unbias=True, width_a=8, width_b=8),
    ]
    lines = [
        "| significands | MRED % | WCRE % | area µm² | × exact | delay ps | × exact |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    significand = np.arange(128, 256)
    product = significand[:, None] * significand
    exact: SynthesisResult | None = None
    for core in track(cores, "bfloat16", console=_console()):
        multiplier = Bfloat16(core)
        cost = result(synthesiser, emit(multiplier.create(), multiplier.name), multiplier.name)
        exact = exact or cost
        codes = 0x3F80 | (significand - 128)
        found = multiplier.golden(codes[:, None], codes).astype(np.int64)
        value = (128 + (found & 0x7F)) * 2.0 ** ((found >> 7) - 127 - 7)
        error = np.abs(value * 2**14 / product - 1)
        area, delay = cost.best_area.area_um2, cost.best_delay.delay_ps
        lines.append(
            f"| `{core.name}` | {100 * error.mean():.2f} | {100 * error.max():.2f} | {area:.0f} | "
            f"{area / exact.best_area.area_um2:.2f} | {delay:.0f} | {delay / exact.best_delay.delay_ps:.2f} |"
        )
    return "\n".join(lines)


def figures(multiplier: Multiplier) -> str:
    """The error columns of a row."""
    errors = Errors.of(ProductTable.of(multiplier))
    zero = "no" if multiplier.zero_exception else "yes"
    return (
        f"{errors.mae:.1f} | {errors.wce} | {errors.me:.1f} | {100 * errors.mred:.2f} | {100 * errors.ep:.1f} | {zero}"
    )


def star(signed_a: bool, signed_b: bool) -> str:
    """The product as a Verilog operator, left to the synthesis tool."""
    factors = [
        f"$signed({name})" if signed else (f"$signed({{1'b0, {name}}})" if signed_a or signed_b else name)
        for name, signed in (("a", signed_a), ("b", signed_b))
    ]
    return (
        f"module star(input [7:0] a, input [7:0] b, output [15:0] p);\n  assign p = {' * '.join(factors)};\nendmodule\n"
    )


def result(synthesiser: Synthesiser, verilog: str, top: str) -> SynthesisResult:
    return synthesiser.submit(verilog, top).result()


def section(title: str, module: str) -> str:
    """A family's section: its module's docstring, whose indented blocks Markdown shows as they are."""
    text = inspect.getdoc(importlib.import_module(f"amhw.families.{module}")) or ""
    return f"## {title}\n\n`amhw/families/{module}.py`. {as_markdown(text)}\n"


def as_markdown(text: str) -> str:
    """Docstring prose as Markdown: literal quotes become code, and * stays a star."""
    return "\n\n".join(block if block.startswith("    ") else _prose(block) for block in text.split("\n\n"))


def _prose(block: str) -> str:
    block = re.sub(r"``(.*?)``", r"`\1`", block)
    return re.sub(r"\*(\w+)\*", r"_\1_", block)


def _console() -> Console:
    return Console(stderr=True)


if __name__ == "__main__":
    sys.exit(main())
