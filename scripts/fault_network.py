"""The selected network of the tables in docs/faults.md: LeNet-5 with its convolutions' weights chosen for a mask that
reads three of eight weight bits.

    python scripts/fault_network.py FILE [--multiplier NAME]
"""

import argparse

from amhw import ProductTable, parse
from amhw.remap.fit import fit
from amhw.scoring import measure_tables
from amhw.stages.problem import Problem

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file")
parser.add_argument("--multiplier", default="mul_u8s8_pp_0_0_0_0_0_c0_e0_e0")
arguments = parser.parse_args()
loaded = Problem(None, None).loaded
tables = dict.fromkeys(loaded.base.convolutions, ProductTable.of(parse(arguments.multiplier)))
network = fit(loaded.base, tables, loaded.teacher, loaded.judge).network
found = measure_tables(tables, network, loaded.test)
print(f"{network.save(arguments.file)}: {found.accuracy:.2%} of {found.images} test images")
