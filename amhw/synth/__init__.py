"""Area, delay and cells of any Verilog, from Yosys and ABC.

`synthesise(verilog, top, technology)` for one design, `Synthesiser` for many, `Technology` says in what.
"""

from amhw.synth.failure import SynthesisError
from amhw.synth.noise import noise_band, wins
from amhw.synth.pool import Synthesiser, synthesise
from amhw.synth.recipe import AS_DESIGNED, BOTH_KINDS, RECIPES, SEARCH, Kind, Recipe
from amhw.synth.result import Mapping, SynthesisResult
from amhw.synth.store import technology_named
from amhw.synth.technology import Technology, technologies
from amhw.synth.truth import Expected, WrongNetlistError

__all__ = [
    "AS_DESIGNED",
    "BOTH_KINDS",
    "RECIPES",
    "SEARCH",
    "Expected",
    "Kind",
    "Mapping",
    "Recipe",
    "SynthesisError",
    "SynthesisResult",
    "Synthesiser",
    "Technology",
    "WrongNetlistError",
    "noise_band",
    "synthesise",
    "technologies",
    "technology_named",
    "wins",
]
