"""What the manifest beside a Verilog file says of it."""

from pathlib import Path
from typing import NamedTuple

from amhw.files import read_whole
from amhw.imports import Imported
from amhw.manifests import ArrayManifest, ImportManifest, MultiplierManifest, is_claimed, read_manifest
from amhw.synth.truth import MOST_PAIRS, Expected
from amhw.table import ProductTable
from amhw.verilog import Design


class Known(NamedTuple):
    """What is known of a Verilog file.

    Attributes:
        expected: the products that it computes, where they are known and not too many.
        provable: whether netlists should be proved equal to the file instead.
        array: its manifest, where it is an array's.
    """

    expected: Expected | None = None
    provable: bool = False
    array: ArrayManifest | None = None


NOTHING = Known()


def known_of(verilog: Path) -> Known:
    """What the manifest beside `verilog` says; nothing where there is none, or the JSON file there is something else.

    Raises:
        Refusal: the manifest is damaged, of another version, or about another text.
    """
    path = verilog.with_suffix(".json")
    if verilog.suffix != ".v" or not path.is_file() or not is_claimed(read_whole(path)):
        return NOTHING
    manifest = read_manifest(path)
    if isinstance(manifest, ImportManifest):
        imported = Imported.load(path)
        if imported.latency:
            return Known(provable=True)
        return Known(Expected(imported.table.products, **({} if imported.ports is None else vars(imported.ports))))
    if not isinstance(manifest, MultiplierManifest):
        return Known(provable=True, array=manifest)
    multiplier = Design.parse(manifest.design).multiplier
    if multiplier.width_a + multiplier.width_b > MOST_PAIRS.bit_length() - 1:
        return Known(provable=True)
    return Known(Expected(ProductTable.of(multiplier).products))
