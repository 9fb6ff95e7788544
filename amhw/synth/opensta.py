"""OpenSTA as a second opinion on the timing of a mapped netlist.

The program `sta` is asked under the same conditions as `amhw.synth.timing`: the same library text, driving cell,
loads and clock slew, no wires.
"""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.netlist import Netlist
from amhw.synth.reports import Step
from amhw.synth.technology import Technology
from amhw.synth.timing import CLOCK_SLEW, Timing

_SCRIPT = """\
read_liberty cells.lib
set_cmd_units -time ps -capacitance fF
read_verilog netlist.v
link_design {top}
{clock}
set inputs [get_ports {{{inputs}}}]
set_input_delay 0 -clock clock $inputs
set_driving_cell -lib_cell {driver} $inputs
set_output_delay 0 -clock clock [all_outputs]
set_load {load} [all_outputs]
report_checks -path_delay max -fields {{slew capacitance}} -digits 4
"""

_ROW = re.compile(
    r"^ +(?:(?P<load>[\d.]+) +)?(?P<slew>[\d.]+) +(?P<delay>-?[\d.]+) +(?P<time>-?[\d.]+) "
    r"(?P<edge>[\^v]) (?P<pin>\S+) \((?P<cell>\w+)\)$",
    re.MULTILINE,
)


def available() -> bool:
    """Whether `sta` is on PATH."""
    return shutil.which("sta") is not None


def timing_by_opensta(verilog: str, netlist: Netlist, technology: Technology, liberty: Path | None = None) -> Timing:
    """The longest path of a netlist, given as Verilog and as a value, according to OpenSTA.

    `liberty` is another library file with the same cells, such as the complete one; wire loads that it declares
    count, so take them out for a comparison.

    Raises:
        Refusal: OpenSTA is not installed, or the netlist has memories.
        SynthesisError: it rejects the netlist.
    """
    if not available():
        raise Refusal("OpenSTA is not on PATH; install the package opensta, or leave --timer opensta out")
    if netlist.memories:
        names = ", ".join(memory.name for memory in netlist.memories[:4])
        raise Refusal(
            f"OpenSTA times cells, and {netlist.top} has memories ({names}); choose a module without by --top"
        )
    clocks = {gate.nets[pin.name] for gate in netlist.flip_flops for pin in gate.cell.inputs if pin.is_clock}
    ports = [name for name, nets in netlist.inputs.items() if clocks & set(nets)]
    period = 1_000_000  # any that no path exceeds
    clock = f"create_clock -name clock -period {period}" + (f" [get_ports {{{' '.join(ports)}}}]" if ports else "")
    if ports:
        clock += f"\nset_clock_transition {CLOCK_SLEW} [get_clocks clock]"
    inputs = [
        f"{name}[{k}]" if len(nets) > 1 else name
        for name, nets in netlist.inputs.items()
        if name not in ports
        for k in range(len(nets))
    ]
    script = _SCRIPT.format(
        top=netlist.top, clock=clock, inputs=" ".join(inputs), driver=technology.driving_cell, load=technology.load
    )
    with tempfile.TemporaryDirectory(prefix="amhw-sta-") as name:
        folder = Path(name)
        (folder / "cells.lib").write_text(technology.liberty if liberty is None else liberty.read_text())
        plain = re.sub(r"^( *(?:input|output|wire)) signed ", r"\1 ", verilog, flags=re.MULTILINE)  # it knows no signs
        (folder / "netlist.v").write_text(plain)
        (folder / "script.tcl").write_text(script)
        run = subprocess.run(
            ["sta", "-no_init", "-no_splash", "-exit", "script.tcl"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    return _report(run.stdout + run.stderr)


def _report(text: str) -> Timing:
    if error := re.search(r"^Error: (?!.*missing one or more thresholds)(.*)", text, re.MULTILINE):
        raise SynthesisError(f"OpenSTA: {error[1]}")
    if "No paths found" in text:
        return Timing(0.0, "", "", ())
    arrival = re.search(r"^\s*(-?[\d.]+)\s+data arrival time", text, re.MULTILINE)
    if arrival is None:
        raise SynthesisError(f"OpenSTA gave no path: {' '.join(text.split())[-300:]}")
    ends = [re.search(rf"^{word}: (\S+)", text, re.MULTILINE) for word in ("Startpoint", "Endpoint")]
    setup = re.search(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+library setup time", text, re.MULTILINE)
    margin = -float(setup[1]) if setup else 0.0
    steps = []
    for row in _ROW.finditer(text[: arrival.end()]):
        if row["load"] is not None:  # else an input pin of the cell whose output follows
            cell = "input" if row["cell"] == "in" else row["cell"]
            edge = "rise" if row["edge"] == "^" else "fall"
            steps.append(
                Step(cell, float(row["time"]), float(row["slew"]), float(row["load"]), 0, "", edge, row["pin"])
            )
    start, end = (match[1] if match else "" for match in ends)
    return Timing(round(float(arrival[1]) + margin, 2), start, end, tuple(steps), round(margin, 2))
