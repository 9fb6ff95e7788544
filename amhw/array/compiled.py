"""An emitted engine as a compiled program: Verilator's model and a harness in C++."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from amhw.array.plan import ConvPlan
from amhw.array.program import Program
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


_ELEMENTS = "\n".join(
    [
        "`verilator_config",
        'no_inline -module "pe_*"',
        *(f'public_flat_rd -module "pe_*" -var "{port}"' for port in ("*_in", "swap", "w_load", "is_open", "start")),
        "",
    ]
)
"""Has Verilator write the code of each kind of element once, not once for each place: a sixth of the code for 400 exact
elements, and the caches hold it. Places differ only in what drives their inputs, which is put in the inputs' stead
wherever it may be: in those that are public it may not, as long as data-flow graphs are left alone (`-fno-dfg`)."""


def build(verilog: Path, harness: Path, folder: Path) -> Path:
    """Compile the Verilog's model together with the harness; the program's path.

    Raises:
        Refusal: Verilator or the compiler rejects it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    elements = folder / "elements.vlt"
    elements.write_text(_ELEMENTS, encoding="utf-8")
    arguments = ["verilator", "--cc", "--exe", "--build", "-Wno-fatal", "-O3", "-fno-dfg", "--noassert"]
    arguments += ["--x-assign", "fast"]
    arguments += ["--prefix", "Vtop", "--top-module", verilog.stem, "-Mdir", str(folder), "-o", "engine"]
    arguments += ["--build-jobs", str(os.cpu_count() or 1), "--output-split", "20000"]
    arguments += ["-MAKEFLAGS", "OPT_FAST=-O2 OPT_SLOW=-O0 CFG_CXXFLAGS_PCH_I=-include"]
    done = subprocess.run(
        [*arguments, str(elements.resolve()), str(verilog.resolve()), str(harness.resolve())],
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


@dataclass(frozen=True)
class Results:
    """What came out of an engine for whole networks.

    Attributes:
        logits: int32[N, classes].
        classes: int32[N].
        clocks_per_image: from the first class of one full batch to that of the next, the mean; NaN for a single one.
        latency: clocks from the last pixel of the first image to its class.
    """

    logits: NDArray[np.int32]
    classes: NDArray[np.int32]
    clocks_per_image: float
    latency: int


def run_network(
    program: Path,
    schedule: Program,
    images: NDArray[np.uint8],
    jobs: int = 1,
    stalls: float = 0.0,
    seed: int = 0,
    writes: Path | None = None,
) -> Results:
    """Push uint8 images [N, C, H, W] through the program, in `jobs` parts side by side.

    Args:
        stalls: share of the clocks in which each side of a stream stalls, at random.
        writes: a file of 64-bit words for the configuration port (`amhw.array.writes`).

    Raises:
        Refusal: the program stopped short.
    """
    beats = schedule.setup.classes + 1
    # Whole batches, but for the last part's.
    batches = -(-len(images) // schedule.batch)
    cuts = [schedule.batch * (batches * k // jobs) for k in range(1, jobs)]

    def part(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], list[int]]:
        arguments = [len(pixels), pixels[0].size if len(pixels) else 1, beats, round(stalls * 256), seed]
        done = subprocess.run(
            [str(program), *map(str, arguments), *([] if writes is None else [str(writes)])],
            input=pixels.tobytes(),
            capture_output=True,
        )
        if done.returncode:
            raise Refusal(f"{program} stopped with status {done.returncode} after {len(pixels)} images were sent")
        return np.frombuffer(done.stdout, np.int32).reshape(-1, beats), [int(word) for word in done.stderr.split()]

    with ThreadPoolExecutor(jobs) as threads:
        parts = list(threads.map(part, [one for one in np.split(images, cuts) if len(one)]))
    words = np.concatenate([found for found, _ in parts])
    # A last batch with fewer images is done sooner.
    full = [len(ends) // schedule.batch * schedule.batch for _, (_, *ends) in parts]
    first = [figures[1 : 1 + whole : schedule.batch] for whole, (_, figures) in zip(full, parts, strict=True) if whole]
    counted = sum(len(ends) - 1 for ends in first) * schedule.batch
    clocks = sum(ends[-1] - ends[0] for ends in first)
    return Results(words[:, :-1], words[:, -1], clocks / counted if counted else np.nan, parts[0][1][0])
