"""Recipes: the ABC scripts that map a netlist to cells, by name.

There are two kinds of figure. *Restructured* is what the tools can make of a function: they may undo every structure,
so two designs of one function come out alike. *As designed* keeps the tree, the adder and the encoding that the
designer chose.

ABC's heuristics are not monotone: a smaller function can come out larger, and no script is best for area or
delay everywhere. So a figure that matters is the best of this small declared set, and names the recipe that
gave it. None of them retimes: registers stay where the designer put them.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["restructured", "as designed"]
"""What an area or a delay is of: what the tools can make of the function, or the designer's structure kept."""


@dataclass(frozen=True)
class Recipe:
    """One ABC script, and for what.

    Attributes:
        kind: of the figures that it gives. Figures of different kinds are never compared.
        aim: `area`, `delay` or `balanced`: recipes of one aim are rivals, and their spread is noise.
        adders: full and half adders are found first and become the library's adder cells. A recipe that restructures
            takes only cells that can save area, and is left out where there are none.
        bare: the script of a recipe `as designed` where the library has no full adder.
    """

    name: str
    script: str
    aim: str = "balanced"
    adders: bool = False
    kind: Kind = "restructured"
    bare: str = ""

    def text(self, full_adders: bool) -> str:
        """What ABC runs with a library that has a cell for full adders or none."""
        return f"{self.script if full_adders or not self.bare else self.bare}; topo; stime -p\n"


_AS_IT_STANDS = "amap -m -F 20 -A 20 -E 0"
_AREA_MAPPING = f"dch; {_AS_IT_STANDS}"
_DEEP = "&get -n; &deepsyn -I 1 -J 2; &put"
_DELAY_MAPPING = "dch; map -B 0.9; topo"
_SIZED = "upsize; dnsize"


def _restructured(cut: int) -> str:
    """Rebuilt for least depth from cuts of up to `cut` inputs, choosing among equivalent structures."""
    return f"dch; if -g -K {cut}; strash"


BALANCED = Recipe(
    "balanced",
    f"strash; dch; if -g; strash; dc2; {_DELAY_MAPPING}; dnsize",
)
"""Restructured for depth, then shrunk: of all tried it came nearest to the best area × delay."""

AREA = Recipe("area", f"strash; {_DEEP}; {_AREA_MAPPING}; topo; dnsize", "area")
"""One round of `&deepsyn`, which tries restructurings at random (always the same ones) and keeps the smallest."""

AREA_AGAIN = Recipe("area-again", f"strash; if -g; strash; {_DEEP}; {_AREA_MAPPING}; topo; dnsize", "area")
"""The same from a structure of least depth. Mapping without `&deepsyn`, however often repeated, is 4 % larger."""

AREA_AS_GIVEN = Recipe("area-as-given", f"strash; {_AREA_MAPPING}; topo; dnsize", "area")
"""Chooses among structures near the designer's: the tree and the adder of a multiplier still show."""

DELAY = Recipe(
    "delay",
    f"strash; {_restructured(6)}; {_restructured(6)}; {_DELAY_MAPPING}; speedup; {_DELAY_MAPPING}; {_SIZED}",
    "delay",
)
"""Restructured for depth twice; after the first mapping `speedup` restructures what is on the critical paths."""

DELAY_AGAIN = Recipe(
    "delay-again",
    f"strash; dc2; {_restructured(8)}; {_restructured(8)}; {_DELAY_MAPPING}; speedup; {_DELAY_MAPPING}; {_SIZED}",
    "delay",
)
"""The same from fewer gates, by wider cuts. Of all pairs of ten scripts, on 70 random masks in both technologies, this
one came within 0.5 % of the fastest, in the least time."""

ADDERS_AREA = Recipe("area-adders", AREA.script, "area", adders=True)
"""The library's full and half adders, and the rest mapped around them."""

SEARCH = BALANCED
"""The one recipe for ranking many designs quickly."""

RECIPES = (BALANCED, AREA, AREA_AGAIN, AREA_AS_GIVEN, ADDERS_AREA, DELAY, DELAY_AGAIN)
"""Restructured: a figure is the best of these."""

_ROUND = "&syn2; &if -g -K 6; &synch2; &nf"

AS_DESIGNED = Recipe(
    "as-designed",
    f"&get -n; &st; &dch; &nf; &st; {_ROUND}; &st; {_ROUND}; &put; buffer -c; topo; {_SIZED}",
    adders=True,
    kind="as designed",
    bare=f"strash; {_AS_IT_STANDS}; topo; dnsize",
)
"""The designer's structure in cells. Full and half adders become adder cells, and what is between them is mapped for
speed, buffered and sized, as OpenROAD's flow does it (whose script repeats the round in the middle five times: two
rank multipliers a little better). In a library without full adders that would restructure everything, so there all is
mapped as it stands, without choices among equivalent structures. Area and delay are of this one netlist. How it ranks
multipliers beside placed and routed ones is in docs/cost.md."""

BOTH_KINDS = (*RECIPES, AS_DESIGNED)


def recipe_named(name: str) -> Recipe:
    """The recipe of `BOTH_KINDS` that has this name.

    >>> recipe_named("area-again") is AREA_AGAIN
    True
    """
    return next(recipe for recipe in BOTH_KINDS if recipe.name == name)
