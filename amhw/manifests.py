"""What the manifest beside a Verilog file says of it."""

from pathlib import Path
from typing import Any

from amhw.imports import Imported
from amhw.synth.truth import MOST_PAIRS, Expected
from amhw.table import ProductTable
from amhw.verilog import Design, read_manifest


def expected_of(verilog: Path) -> tuple[Expected | None, bool, dict[str, Any] | None]:
    """The products that the manifest beside `verilog` stands for, where there is one and they are not too many.

    Returns:
        Them or None, whether the netlists should be proved instead, and the manifest where it is an array's.

    Raises:
        Refusal: the manifest is about another text.
    """
    manifest = verilog.with_suffix(".json")
    if verilog.suffix != ".v" or not manifest.exists():
        return None, False, None
    described: dict[str, Any] = read_manifest(manifest)
    if described.get("kind") == "imported":
        imported = Imported.load(manifest)
        ports = {} if imported.ports is None else vars(imported.ports)
        return Expected(imported.table.products, **ports), False, None
    if described.get("kind") != "multiplier":
        return None, True, described if "elements" in described else None
    multiplier = Design.parse(described["design"]).multiplier
    if multiplier.width_a + multiplier.width_b > MOST_PAIRS.bit_length() - 1:
        return None, True, None
    return Expected(ProductTable.of(multiplier).products), False, None
