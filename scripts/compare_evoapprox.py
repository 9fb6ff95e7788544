"""Published 8-bit approximate multipliers in the same network, flow and technology as this project's front.

    python scripts/compare_evoapprox.py FOLDER --tech sky130hd --out docs/evoapprox-u8s8-sky130hd.csv

FOLDER is a checkout of github.com/ehw-fit/evoapproxlib (MIT licence); only figures come out. Each circuit is made a
u8s8 multiplier in the cheapest exact way: an unsigned core multiplies a with the magnitude of b, and the product gets
b's sign; a signed core takes the upper seven bits of a as a non-negative number, and its product is doubled (wires
only). The table is read off the wrapped Verilog itself. `core` figures are of the unwrapped circuit: a lower bound, if
weights were stored as sign and magnitude and the accumulator could subtract.
"""

import argparse
import csv
import hashlib
from pathlib import Path

import numpy as np

from amhw.circuit import Circuit
from amhw.network.inference import Inference
from amhw.remap.fit import fit
from amhw.stages.loss import Loss
from amhw.stages.problem import Problem
from amhw.synth import Synthesiser, Technology
from amhw.table import ProductTable
from amhw.workers import executor

UNSIGNED = """
module wrapped(input [7:0] a, input [7:0] b, output [15:0] p);
  wire [7:0] magnitude = b[7] ? -b : b;
  wire [15:0] product;
  {name} core(.A(a), .B(magnitude), .O(product));
  assign p = b[7] ? -product : product;
endmodule
"""
SIGNED = """
module wrapped(input [7:0] a, input [7:0] b, output [15:0] p);
  wire [15:0] product;
  {name} core(.A({{1'b0, a[7:1]}}), .B(b), .O(product));
  assign p = {{product[14:0], 1'b0}};
endmodule
"""


def measure(verilog: str, name: str, technology: str) -> dict[str, object]:
    """One circuit's row."""
    wrapped = verilog + (UNSIGNED if name.startswith("mul8u") else SIGNED).format(name=name)
    codes = np.arange(256)
    products = Circuit.read(wrapped, "wrapped").evaluate({"a": codes[:, None], "b": codes[None, :]})["p"]
    table = ProductTable(np.where(products >= 1 << 15, products - (1 << 16), products), False, True, name=name)
    with Synthesiser(Technology.named(technology), workers=1) as synthesiser:
        whole = synthesiser.submit(wrapped, "wrapped").result()
        core = synthesiser.submit(verilog, name).result()
    loaded = Problem().loaded
    tables = dict.fromkeys(loaded.base.convolutions, table)
    test = loaded.test
    exact = Inference(loaded.base).correct(test)
    plain = Loss.between(exact, Inference(loaded.base, tables).correct(test))
    network = fit(loaded.base, tables, loaded.teacher, loaded.judge).network
    remapped = Loss.between(exact, Inference(network, tables).correct(test))
    return {
        "name": name,
        "table_sha256": hashlib.sha256(table.products.tobytes()).hexdigest()[:12],
        "area_um2": whole.best_area.area_um2,
        "delay_ps": whole.best_delay.delay_ps,
        "core_area_um2": core.best_area.area_um2,
        "core_delay_ps": core.best_delay.delay_ps,
        "plain_loss": round(100 * plain.mean, 2),
        "remapped_loss": round(100 * remapped.mean, 2),
        "remapped_half_width": round(100 * remapped.half_width, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tech", default="sky130hd")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("names", nargs="*", help="circuits; default: those of tests/data/evoapprox8/published.csv")
    arguments = parser.parse_args()
    names = arguments.names
    if not names:
        listed = Path(__file__).parent.parent / "tests" / "data" / "evoapprox8" / "published.csv"
        with listed.open() as file:
            names = [row["name"] for row in csv.DictReader(file)]
    texts = [sorted(arguments.folder.rglob(f"{name}.v"))[0].read_text() for name in names]
    with executor(arguments.workers) as pool:
        rows = list(pool.map(measure, texts, names, [arguments.tech] * len(names)))
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
