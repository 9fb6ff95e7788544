"""Area and delay of the unit that decides in a cascade's engine, without its memory: a figure of docs/effort.md.

    python scripts/judge_area.py [--tech NAME]

For LeNet-5 twice, with the threshold of the table; the quick recipe.
"""

import argparse

from amhw.array.cascade_engine import cascade_on
from amhw.array.engine.judge import Judge
from amhw.array.program import Sizes
from amhw.network.models import lenet5
from amhw.synth import SEARCH, Synthesiser, technology_named
from amhw.verilog import emit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tech", default="sky130hd")
    parser.add_argument("--threshold", type=int, default=41608)
    arguments = parser.parse_args()
    networks = [lenet5.network()] * 2
    cascade = cascade_on(networks, arguments.threshold, rows=25, cols=16, depth=25, window=(0, 0))
    text = emit(Judge(Sizes((cascade,))), "judge")
    with Synthesiser(technology_named(arguments.tech), (SEARCH,), workers=1) as synthesiser:
        result = synthesiser.submit(text, "judge").result()
    print(f"{result.area_um2:,.0f} µm², {result.delay_ps:,.0f} ps, {result.cells} cells")


if __name__ == "__main__":
    main()
