"""The files of an array: Verilog, the manifest that describes it, and a FuseSoC core file."""

import importlib.metadata
from collections.abc import Iterable
from pathlib import Path

from amaranth.lib import wiring
from amaranth.lib.wiring import In

from amhw.array.axi import AxiStreamTop
from amhw.array.element import OutputElement, ProcessingElement
from amhw.files import write_atomically
from amhw.manifests import ArrayManifest, Port
from amhw.verilog import emit


def verilog(
    core: wiring.Component, elements: Iterable[ProcessingElement | OutputElement], name: str
) -> tuple[str, dict[str, Port]]:
    """Verilog text of `core` under AXI4-Stream names, each different element a module of its own.

    Returns:
        The text, and the ports of the top module.
    """
    modules = {element.name: element for element in elements}
    texts = [emit(element, module) for module, element in modules.items()]
    top = AxiStreamTop(core)
    ports = {"clk": Port("input", 1), "rst": Port("input", 1)}
    for (port, *_), member, value in top.signature.flatten(top):
        ports[str(port)] = Port("input" if member.flow is In else "output", len(value))
    return "\n".join([*texts, emit(top, name)]), ports


def write(folder: Path | str, text: str, manifest: ArrayManifest) -> tuple[Path, Path, Path]:
    """Write ``NAME.v``, ``NAME.json`` and ``NAME.core``; each is whole or absent.

    Args:
        folder: where.
        text: the Verilog.
        manifest: what describes it.

    Returns:
        Their paths, in this order.

    Raises:
        Refusal: the folder cannot be written.
    """
    source = write_atomically(Path(folder) / f"{manifest.name}.v", text)
    described = manifest.write(source.with_suffix(".json"))
    return source, described, write_atomically(source.with_suffix(".core"), core_file(manifest.name, manifest.title))


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
