"""The engine that runs a schedule: one unit a file, `top` puts them together."""

from amhw.array.engine.top import Engine

__all__ = ["Engine"]
