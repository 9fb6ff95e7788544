"""Verilog from anywhere, read in one way wherever it is read.

`Source` is what files say, as one text; `elaborated` lets Yosys read it, dialect after dialect, in a process that can
open no file and has limits of time and memory.
"""

from amhw.hdl.process import elaborated
from amhw.hdl.source import PLAIN_FIRST, SUFFIXES, SYSTEM_FIRST, Source

__all__ = ["PLAIN_FIRST", "SUFFIXES", "SYSTEM_FIRST", "Source", "elaborated"]
