"""Recipes: the ABC scripts that map a netlist to cells, by name.

ABC's heuristics are not monotone: a smaller function can come out larger. So a figure that matters is the best of this small declared
set, and names the recipe that gave it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """One ABC script, run between reading the netlist and `stime`, which prints the delay."""

    name: str
    script: str

    @property
    def text(self) -> str:
        """What ABC runs."""
        return f"{self.script}\ntopo\nstime -p\n"


SEARCH = Recipe("search", "strash; ifraig; dch; map -a; topo; buffer -c; upsize; dnsize")
RECIPES = (SEARCH,)
