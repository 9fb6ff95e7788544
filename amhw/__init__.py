"""Approximate multiplier hardware, traded against neural-network accuracy.

What a notebook needs, in a dozen names; docs/python.md has an example from a mask to a Pareto front.

- `Masked` is a multiplier by its partial products, `parse` finds any by its name, `Design` says how it is built and
  writes Verilog; `ProductTable` is what it computes, `Errors` how wrong that is.
- `synthesise` gives area and delay of Verilog in a `Technology`.
- `data_source` finds images; `lenet5` is the shipped network, `load_network` reads any; `Inference` classifies images
  in integers with product tables.
- `Selection` chooses multipliers for a network.

Whatever cannot be used is refused with a `Refusal`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from amhw.families import Masked
from amhw.multiplier import Multiplier, parse
from amhw.refusal import Refusal
from amhw.table import ProductTable

if TYPE_CHECKING:
    from amhw.datasets import data_source
    from amhw.errors import Errors
    from amhw.network.inference import Inference
    from amhw.network.models.lenet5 import network as lenet5
    from amhw.network.real import load_network
    from amhw.select.selection import Selection
    from amhw.synth import Technology, synthesise
    from amhw.verilog import Design

__all__ = [
    "Design",
    "Errors",
    "Inference",
    "Masked",
    "Multiplier",
    "ProductTable",
    "Refusal",
    "Selection",
    "Technology",
    "data_source",
    "lenet5",
    "load_network",
    "parse",
    "synthesise",
]

_ELSEWHERE = {
    "Design": ("amhw.verilog", "Design"),
    "Errors": ("amhw.errors", "Errors"),
    "Inference": ("amhw.network.inference", "Inference"),
    "Selection": ("amhw.select.selection", "Selection"),
    "Technology": ("amhw.synth", "Technology"),
    "data_source": ("amhw.datasets", "data_source"),
    "lenet5": ("amhw.network.models.lenet5", "network"),
    "load_network": ("amhw.network.real", "load_network"),
    "synthesise": ("amhw.synth", "synthesise"),
}
"""Loaded when they are first asked for: torch alone takes seconds, and most commands do without it."""


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _ELSEWHERE[name]
    return getattr(import_module(module), attribute)
