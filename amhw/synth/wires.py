"""What a technology says of wires: the height of a row of cells, and resistance and capacitance of two metal layers.

The facts are those of the foundry's technology LEF. By the LEF/DEF Reference a wire has

    R = RPERSQ / WIDTH                              Ω/µm
    C = CPERSQDIST · WIDTH + 2 · EDGECAPACITANCE    pF/µm

at its layer's least width. That counts the plate below and both edges; what neighbours add is not in a LEF.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from amhw.refusal import Refusal


@dataclass(frozen=True)
class Layer:
    """A metal layer as its LEF describes it: µm, Ω a square, pF/µm², pF/µm."""

    name: str
    width: float
    ohm_per_square: float
    area_capacitance: float
    edge_capacitance: float

    @property
    def resistance(self) -> float:
        """Ω/µm at least width."""
        return self.ohm_per_square / self.width

    @property
    def capacitance(self) -> float:
        """fF/µm at least width.

        >>> round(WIRES["sky130hd"].horizontal.capacitance, 4)
        0.0847
        """
        return 1000 * (self.area_capacitance * self.width + 2 * self.edge_capacitance)


@dataclass(frozen=True)
class Wires:
    """Rows `row_height` µm high, and the lowest layer that carries signals in each direction."""

    row_height: float
    horizontal: Layer
    vertical: Layer
    source: str


WIRES: Mapping[str, Wires] = {
    "sky130hd": Wires(
        2.72,
        Layer("met1", 0.14, 0.125, 25.7784e-6, 40.567e-6),
        Layer("met2", 0.14, 0.125, 16.9423e-6, 37.759e-6),
        "sky130_fd_sc_hd.tlef, copyright 2020 The SkyWater PDK Authors, Apache-2.0",
    ),
    "sg13g2": Wires(
        3.78,
        Layer("Metal3", 0.20, 0.103, 1.20e-5, 4.48e-5),
        Layer("Metal2", 0.20, 0.103, 1.81e-5, 4.47e-5),
        "sg13g2_tech.lef, copyright 2023 IHP PDK Authors, Apache-2.0",
    ),
}
"""Of the shipped technologies. In SG13G2 Metal1 serves the cells and their supply."""


def wires_of(technology: str) -> Wires:
    """The wires of a technology.

    Raises:
        Refusal: nothing is known of them.
    """
    if technology not in WIRES:
        raise Refusal(f"nothing is known of the wires of {technology}; --place goes with {' and '.join(WIRES)}")
    return WIRES[technology]
