"""What a systolic array's mesh costs, among the figures of the design that it is part of."""

from dataclasses import asdict
from typing import Any

from amhw.manifests import ArrayManifest, MatrixProductManifest
from amhw.synth.result import Module, SynthesisResult


def mesh_figures(result: SynthesisResult, manifest: ArrayManifest) -> dict[str, Any] | None:
    """Area and longest path of the mesh and of each of its elements, where it is the top or modules were kept.

    Args:
        result: of the Verilog that ``amhw array`` wrote, or of a module in it.
        manifest: what the file beside it says.

    Returns:
        The mesh's module, its multipliers, its area in all and by multiplier, its delay, its elements; or None.
    """
    best = result.best_product
    modules = {module.name: module for module in best.modules}
    mesh = next((module for name, module in modules.items() if name.endswith(".array")), None)
    if mesh is None:
        if not result.top.endswith(".array"):
            return None
        mesh = Module(result.top, 1, best.area_um2, best.cells, best.area_um2, best.delay_ps)
    deep = isinstance(manifest, MatrixProductManifest) and manifest.dataflow == "output-stationary"
    multipliers = manifest.rows * manifest.cols * (manifest.depth if deep else 1)
    return {
        "module": mesh.name,
        "rows": manifest.rows,
        "cols": manifest.cols,
        "depth": manifest.depth,
        "multipliers": multipliers,
        "area_um2": mesh.area_um2,
        "area_per_mac_um2": round(mesh.area_um2 / multipliers, 2),
        "delay_ps": mesh.delay_ps,
        "elements": [asdict(modules[name]) for name in manifest.elements if name in modules],
    }
