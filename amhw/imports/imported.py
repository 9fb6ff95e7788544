"""A multiplier from elsewhere: a product table, and the Verilog that it was read from where there is any."""

import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from amhw.arrays import array_in
from amhw.files import read_whole, write_atomically
from amhw.manifests import ImportManifest, OperandPorts, verilog_beside
from amhw.refusal import Refusal
from amhw.table import LARGEST, ProductTable


@dataclass(frozen=True, eq=False)
class Imported:
    """A multiplier that was not made here.

    Attributes:
        label: what people call it; not its identity, which is `table.sha256`.
        table: what it computes.
        verilog: its source, or None if only the table is known.
        top, ports: the top module and its ports, where there is Verilog.
        latency: cycles from the operands to the product.
    """

    label: str
    table: ProductTable
    verilog: str | None = None
    top: str | None = None
    ports: OperandPorts | None = None
    latency: int = 0

    @property
    def name(self) -> str:
        """A file name and row key: the label's letters and digits, and the start of the table's hash."""
        stem = re.sub(r"[^A-Za-z0-9_]+", "_", self.label).strip("_") or "import"
        return f"{stem}_{self.table.sha256[:8]}"

    def manifest(self) -> ImportManifest:
        """What was imported."""
        table = self.table
        return ImportManifest(
            name=self.name,
            label=self.label,
            width_a=table.width_a,
            width_b=table.width_b,
            signed_a=table.signed_a,
            signed_b=table.signed_b,
            table_sha256=table.sha256,
            top=self.top,
            ports=self.ports,
            verilog_sha256=None if self.verilog is None else hashlib.sha256(self.verilog.encode()).hexdigest(),
            latency=self.latency,
        )

    def write(self, folder: Path | str) -> Path:
        """Write ``NAME.npy`` (the table), ``NAME.v`` (if there is Verilog) and, last, ``NAME.json``.

        Returns:
            The path of the JSON manifest.
        """
        folder = Path(folder)
        array = io.BytesIO()
        np.save(array, self.table.products)
        write_atomically(folder / f"{self.name}.npy", array.getvalue())
        if self.verilog is not None:
            write_atomically(folder / f"{self.name}.v", self.verilog)
        return self.manifest().write(folder / f"{self.name}.json")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """What `write` wrote, checked against its hashes.

        Raises:
            Refusal: the file is no manifest of an import, or a file beside it is missing or has changed.
        """
        path = Path(path)
        manifest = ImportManifest.read(path)
        array = path.with_name(f"{manifest.name}.npy")
        stored = read_whole(array)
        try:
            products = array_in(stored, LARGEST)
            table = ProductTable(products, manifest.signed_a, manifest.signed_b, name=manifest.name)
        except Refusal as refusal:
            raise Refusal(f"{array}: {refusal}") from None
        verilog = None
        if (source := verilog_beside(path, manifest)) is not None:
            content = read_whole(source)
            if hashlib.sha256(content).hexdigest() != manifest.verilog_sha256:
                raise Refusal(f"{source.name} is not the file that {path.name} describes; import it again")
            verilog = content.decode(errors="replace")
        if table.sha256 != manifest.table_sha256:
            raise Refusal(f"{array.name} is not the table that {path.name} describes; import it again")
        return cls(manifest.label, table, verilog, manifest.top, manifest.ports, manifest.latency)
