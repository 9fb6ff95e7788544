"""Product tables in the layouts that public simulators read."""

from amhw.exports.layouts import LAYOUTS, Layout

__all__ = ["LAYOUTS", "Layout"]
