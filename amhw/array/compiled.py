"""An emitted convolution engine as a compiled program: Verilator's model and a harness in C++."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amhw.array.plan import ConvPlan
from amhw.refusal import Refusal


@dataclass(frozen=True)
class Run:
    """What came out of an engine.

    Attributes:
        codes: uint8[N, out, H', W'].
        cycles_per_image: from one image's last code to the next one's, the mean.
    """

    codes: NDArray[np.uint8]
    cycles_per_image: float


def build(verilog: Path, harness: Path, folder: Path) -> Path:
    """Compile the Verilog's model together with the harness; the program's path.

    Raises:
        Refusal: Verilator or the compiler rejects it.
    """
    arguments = ["verilator", "--cc", "--exe", "--build", "-Wno-fatal", "-O3", "--x-assign", "fast", "--noassert"]
    arguments += ["--prefix", "Vtop", "--top-module", verilog.stem, "-Mdir", str(folder), "-o", "engine"]
    arguments += ["-MAKEFLAGS", "OPT_FAST=-O2 OPT_SLOW=-O0 CFG_CXXFLAGS_PCH_I=-include"]
    done = subprocess.run(
        [*arguments, str(verilog.resolve()), str(harness.resolve())],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
        raise Refusal(f"verilator did not build {verilog}: {(lines or ['no message'])[0]}")
    return folder / "engine"


def run(program: Path, plan: ConvPlan, images: NDArray[np.uint8], jobs: int = 1) -> Run:
    """Push uint8 images [N, 1, H, W] through the program, in `jobs` parts side by side.

    Raises:
        Refusal: the program stopped short.
    """
    layer = plan.layers[-1]
    each = layer.outputs * layer.pooled**2

    def part(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
        done = subprocess.run(
            [str(program), str(len(pixels)), str(plan.image_side**2), str(each)],
            input=pixels.tobytes(),
            capture_output=True,
        )
        if done.returncode:
            raise Refusal(f"{program} stopped with status {done.returncode} after {len(pixels)} images were sent")
        codes = np.frombuffer(done.stdout, np.uint8).reshape(len(pixels), layer.outputs, layer.pooled, layer.pooled)
        return codes, int(done.stderr.split()[1])

    with ThreadPoolExecutor(jobs) as threads:
        parts = list(threads.map(part, np.array_split(images, jobs)))
    clocks = sum(cycles for _, cycles in parts)
    return Run(np.concatenate([codes for codes, _ in parts]), clocks / max(1, len(images) - jobs))
