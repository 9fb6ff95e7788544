"""A multiplier from elsewhere: a product table, and the Verilog that it was read from where there is any."""

import hashlib
import io
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from amhw.files import read_whole, write_atomically
from amhw.refusal import Refusal
from amhw.table import ProductTable


@dataclass(frozen=True)
class Ports:
    """The names of the operands' and the product's ports."""

    a: str
    b: str
    p: str


@dataclass(frozen=True, eq=False)
class Imported:
    """A multiplier that was not made here.

    Attributes:
        label: what people call it; not its identity, which is `table.sha256`.
        table: what it computes.
        verilog: its source, or None if only the table is known.
        top, ports: the top module and its ports, where there is Verilog.
    """

    label: str
    table: ProductTable
    verilog: str | None = None
    top: str | None = None
    ports: Ports | None = None

    @property
    def name(self) -> str:
        """A file name and row key: the label's letters and digits, and the start of the table's hash."""
        stem = re.sub(r"[^A-Za-z0-9_]+", "_", self.label).strip("_") or "import"
        return f"{stem}_{self.table.sha256[:8]}"

    def manifest(self) -> dict[str, Any]:
        """What was imported, ready for JSON."""
        table = self.table
        return {
            "kind": "imported",
            "name": self.name,
            "label": self.label,
            "width_a": table.width_a,
            "width_b": table.width_b,
            "signed_a": table.signed_a,
            "signed_b": table.signed_b,
            "table_sha256": table.sha256,
            "top": self.top,
            "ports": None if self.ports is None else asdict(self.ports),
            "verilog_sha256": None if self.verilog is None else hashlib.sha256(self.verilog.encode()).hexdigest(),
        }

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
        return write_atomically(folder / f"{self.name}.json", json.dumps(self.manifest(), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """What `write` wrote, checked against its hashes.

        Raises:
            Refusal: the file is no manifest of an import, or a file beside it is missing or has changed.
        """
        path = Path(path)
        content = read_whole(path)
        try:
            manifest = json.loads(content)
            if manifest["kind"] != "imported":
                raise KeyError("kind")
            name, ports = manifest["name"], manifest["ports"]
            signs = bool(manifest["signed_a"]), bool(manifest["signed_b"])
            expected, verilog_sha256 = manifest["table_sha256"], manifest["verilog_sha256"]
            label, top = manifest["label"], manifest["top"]
        except (ValueError, KeyError, TypeError):
            raise Refusal(f"{path} is no manifest of an import; give the .json file that amhw import wrote") from None
        array = read_whole(path.with_name(f"{name}.npy"))
        try:
            table = ProductTable(np.load(io.BytesIO(array), allow_pickle=False), *signs, name=name)
        except (ValueError, OSError) as error:
            raise Refusal(f"{path.with_name(f'{name}.npy')}: {error}") from None
        verilog = None
        if verilog_sha256 is not None:
            verilog = read_whole(path.with_name(f"{name}.v")).decode()
            if hashlib.sha256(verilog.encode()).hexdigest() != verilog_sha256:
                raise Refusal(f"{name}.v is not the file that {path.name} describes; import it again")
        if table.sha256 != expected:
            raise Refusal(f"{name}.npy is not the table that {path.name} describes; import it again")
        return cls(label, table, verilog, top, None if ports is None else Ports(**ports))
