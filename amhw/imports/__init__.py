"""Circuits and product tables from elsewhere.

They enter where this project's own multipliers do: as a `ProductTable` (accuracy, errors) and as Verilog
(cost). Nothing about them is believed that can be checked: ports go by name, signedness is stated or
follows from the products, and identity is a hash of the table, never a name.
"""

from amhw.imports.circuits import read_circuit
from amhw.imports.imported import Imported
from amhw.imports.suspicion import suspicions
from amhw.imports.tables import read_table

__all__ = ["Imported", "read_circuit", "read_table", "suspicions"]
