"""Systolic arrays around any multiplier: processing element, mesh, matrix product, LeNet-5 convolution engine.

`amhw.array.golden` says in NumPy what each computes; nothing in it looks at the circuits.
"""

from amhw.array.conv import ConvEngine
from amhw.array.element import OutputElement, ProcessingElement
from amhw.array.matmul import MatMul
from amhw.array.mesh import OutputStationaryArray, SystolicArray
from amhw.array.plan import ConvPlan
from amhw.array.tiling import Tiling
from amhw.array.widths import Widths

__all__ = [
    "ConvEngine",
    "ConvPlan",
    "MatMul",
    "OutputElement",
    "OutputStationaryArray",
    "ProcessingElement",
    "SystolicArray",
    "Tiling",
    "Widths",
]
