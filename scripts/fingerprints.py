"""What a change of shape must leave as it is: python scripts/fingerprints.py [--expect FILE] > FILE

Prints, as JSON, the SHA-256 of the Verilog and of the product table of every multiplier in the catalogue (8 × 8 bits,
all signednesses), of the Verilog of two arrays, and how many of the 10,000 MNIST test images LeNet-5 classifies
correctly with each of a dozen designs. With --expect, the differences from an earlier output are listed and the exit
status is 1 if there are any.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from amhw.families.catalogue import representatives
from amhw.multiplier import SIGNEDNESS
from amhw.table import ProductTable
from amhw.verilog import Design

ARRAYS = {
    "engine, 25x16, depth 1": ("mul_u8s8_pp_0_0_0_0_0_0_f0_f0", "--rows", "25", "--cols", "16"),
    "matrix product, 8x4, depth 2": (
        *("mul_u8s8_pp_0_0_0_0_20_f0_f8_fc", "--matmul", "16,24,8", "--rows", "8", "--cols", "4", "--depth", "2"),
    ),
}

DESIGNS = (
    "mul_u8s8_pp_full",
    "mul_u8s8_pp_f0_f8_fc_fe_ff_ff_ff_ff",
    "mul_u8s8_pp_0_80_c0_e0_f0_f8_fc_fe",
    "mul_u8s8_pp_0_0_0_20_f8_f8_fc_fe",
    "mul_u8s8_pp_0_0_0_0_20_f0_f8_fc",
    "mul_u8s8_pp_0_0_0_0_0_0_f0_f0",
    "mul_s8s8_pp_full",
    "mul_u4s4_pp_full",
    "mul_u8s3_pp_full",
    "mul_u8s8_sm_drum_4",
    "mul_u8s8_sm_mitchell_8",
    "mul_u8s8_sm_kulkarni",
)


def command(*arguments: str) -> str:
    """What a subcommand of amhw prints."""
    return subprocess.run(["amhw", *arguments], check=True, capture_output=True, text=True).stdout


def digest(verilog: str) -> str:
    """Of the code without comment lines, which name the version."""
    lines = (line for line in verilog.splitlines(keepends=True) if not line.startswith(("/*", "//")))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fingerprints() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {"verilog": {}, "table": {}, "array": {}, "correct": {}}
    for signed_a, signed_b in SIGNEDNESS.values():
        for _, multiplier in representatives(signed_a=signed_a, signed_b=signed_b):
            found["verilog"][multiplier.name] = digest(Design(multiplier).verilog())
            found["table"][multiplier.name] = ProductTable.of(multiplier).sha256
    with tempfile.TemporaryDirectory() as folder:
        for title, (name, *shape) in ARRAYS.items():
            command("array", "--multiplier", name, *shape, "--name", "fingerprinted", "--out", folder)
            found["array"][title] = digest((Path(folder) / "fingerprinted.v").read_text(encoding="utf-8"))
    for name in DESIGNS:
        found["correct"][name] = json.loads(command("accuracy", "--multiplier", name, "--json"))["correct"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--expect", type=Path, help="an earlier output to compare with")
    arguments = parser.parse_args()
    found = fingerprints()
    if arguments.expect is None:
        print(json.dumps(found, indent=1))
        return 0
    expected = json.loads(arguments.expect.read_text(encoding="utf-8"))
    different = 0
    for kind in found:
        for name in sorted({*found[kind], *expected[kind]}):
            before, after = expected[kind].get(name), found[kind].get(name)
            if before != after:
                different += 1
                print(f"{kind} of {name}: {before} before, {after} now")
    print(f"{sum(map(len, found.values()))} compared, {different} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
