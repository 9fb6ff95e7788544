"""Placing and routing by nextpnr, packing by ecppack, a clock by ecppll."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from amhw.fpga.devices import check_cells, device_named
from amhw.fpga.tools import Heard, run_wheel
from amhw.synth.failure import SynthesisError

_USED = re.compile(r"Info:\s+(\w+):\s+(\d+)/\s*\d+\s+\d+%")
_STAGE = re.compile(r"Info: (Packing|Promoting|Creating initial|Running|Routing)(.*?)(?: for .*|, .*|\.*)$")
_STEP = re.compile(r"Info:\s+(at iteration #\d+)|Info:\s+(\d+) \|")

_LUTS, _RAMS, _DSPS, _FLIP_FLOPS = "TRELLIS_COMB", "DP16KD", "MULT18X18D", "TRELLIS_FF"


@dataclass(frozen=True)
class Placed:
    """What a placed and routed design takes: LUTs (those of carries and of small memories included), flip-flops, block
    RAMs and DSP blocks; and the frequency (MHz) that its slowest path allows."""

    luts: int
    flip_flops: int
    block_rams: int
    dsps: int
    fmax_mhz: float


def place(folder: Path, device: str, package: str, constraints: str, seed: int, heard: Heard) -> Placed:
    """Place and route ``netlist.json`` of `folder`, and pack it as ``design.bit``.

    Args:
        device: one of `amhw.fpga.devices.DEVICES`.
        package: of it.
        constraints: LPF.
        seed: of the placement; the same one gives the same bitstream.
        heard: gets the name of each stage.

    Raises:
        Refusal: it does not fit; this is said when nextpnr has packed the cells, before it places them.
        SynthesisError: a tool fails.
    """
    (folder / "constraints.lpf").write_text(constraints, encoding="utf-8")
    arguments = [device_named(device).option, "--package", package, "--json", "netlist.json", "--seed", str(seed)]
    arguments += ["--lpf", "constraints.lpf", "--textcfg", "design.config", "--report", "report.json"]
    used: dict[str, int] = {}
    stage = ""

    def listen(line: str) -> None:
        nonlocal stage
        if (found := _USED.match(line)) is not None:
            used[found[1]] = int(found[2])
        elif (begun := _STAGE.match(line)) is not None:
            if begun[1] == "Creating initial":
                check_cells(device, used[_LUTS], used[_RAMS], used[_DSPS])
            stage = f"{begun[1]}{begun[2]}".strip()
            heard(stage)
        elif (step := _STEP.match(line)) is not None:
            heard(f"{stage}, {step[1] or f'{step[2]} arcs'}")

    run_wheel("nextpnr_ecp5", [*arguments, "--timing-allow-fail"], folder, listen)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if not report["fmax"]:
        raise SynthesisError("nextpnr found no path between registers")
    heard("packing the bitstream")
    run_wheel("ecppack", ["--compress", "--input", "design.config", "--bit", "design.bit"], folder, lambda _: None)
    count = {kind: int(each["used"]) for kind, each in report["utilization"].items()}
    fmax = min(clock["achieved"] for clock in report["fmax"].values())
    return Placed(count[_LUTS], count[_FLIP_FLOPS], count[_RAMS], count[_DSPS], round(fmax, 2))


def pll(folder: Path, from_mhz: float, to_mhz: float) -> float:
    """Write ``pll.v``, a module that makes one clock of another; the frequency that it really has.

    Raises:
        SynthesisError: there is no such clock.
    """
    said: list[str] = []
    arguments = ["-i", f"{from_mhz:g}", "-o", f"{to_mhz:g}", "-n", "pll", "-f", "pll.v"]
    run_wheel("ecppll", arguments, folder, said.append)
    found = re.search(r"clkout0 frequency: ([\d.]+) MHz", "\n".join(said))
    if found is None:
        raise SynthesisError(f"ecppll makes no clock of {to_mhz:g} MHz from {from_mhz:g} MHz")
    return float(found[1])
