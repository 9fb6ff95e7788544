"""What a technology says of wires: the height of a row of cells, and resistance and capacitance of two metal layers."""

from collections.abc import Mapping
from dataclasses import dataclass

from amhw.refusal import Refusal


@dataclass(frozen=True)
class Layer:
    """A wire of least width on a metal layer: Ω/µm and fF/µm."""

    name: str
    resistance: float
    capacitance: float

    @staticmethod
    def of_lef(name: str, width: float, ohm_per_square: float, area: float, edge: float) -> "Layer":
        """As the foundry's technology LEF describes it: µm, Ω a square, pF/µm², pF/µm.

        By the LEF/DEF Reference a wire has

            R = RPERSQ / WIDTH                              Ω/µm
            C = CPERSQDIST · WIDTH + 2 · EDGECAPACITANCE    pF/µm

        That counts the plate below and both edges; what neighbours add is not in a LEF.

        >>> round(WIRES["sky130hd"].horizontal.capacitance, 4)
        0.0847
        """
        return Layer(name, ohm_per_square / width, 1000 * (area * width + 2 * edge))


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
        Layer.of_lef("met1", 0.14, 0.125, 25.7784e-6, 40.567e-6),
        Layer.of_lef("met2", 0.14, 0.125, 16.9423e-6, 37.759e-6),
        "sky130_fd_sc_hd.tlef, copyright 2020 The SkyWater PDK Authors, Apache-2.0",
    ),
    "sg13g2": Wires(
        3.78,
        Layer.of_lef("Metal3", 0.20, 0.103, 1.20e-5, 4.48e-5),
        Layer.of_lef("Metal2", 0.20, 0.103, 1.81e-5, 4.47e-5),
        "sg13g2_tech.lef, copyright 2023 IHP PDK Authors, Apache-2.0",
    ),
    "asap7": Wires(
        0.27,
        Layer("M2", 29.7127, 0.174942),
        Layer("M3", 31.2870, 0.155554),
        "setRC.tcl of OpenROAD-flow-scripts' platform asap7, copyright 2018-2023 The Regents of the "
        "University of California, BSD-3-Clause: fitted to extracted layouts, neighbours included",
    ),
}
"""Of the shipped technologies, and of ASAP7, whose cells `amhw tech import --name asap7` reads. In SG13G2 Metal1 serves
the cells and their supply. ASAP7's LEF says nothing of resistance and capacitance."""


def wires_of(technology: str) -> Wires:
    """The wires of a technology.

    Raises:
        Refusal: nothing is known of them.
    """
    if technology not in WIRES:
        raise Refusal(f"nothing is known of the wires of {technology}; --place goes with {', '.join(WIRES)}")
    return WIRES[technology]
