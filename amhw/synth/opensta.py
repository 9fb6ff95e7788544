"""OpenSTA as a second opinion on the timing of a mapped netlist.

The program `sta` is asked under the same conditions as `amhw.synth.timing`: the same library text, driving cell,
loads and clock slew, no wires.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from amhw.refusal import Refusal
from amhw.synth.failure import SynthesisError
from amhw.synth.interconnect import Interconnect, Pin
from amhw.synth.netlist import ONE, ZERO, Netlist
from amhw.synth.process import run_tool
from amhw.synth.reports import Step
from amhw.synth.result import Mapping
from amhw.synth.spef import spef
from amhw.synth.technology import Technology
from amhw.synth.timing import CLOCK_SLEW, Timing, register_name

_SCRIPT = """\
read_liberty cells.lib
set_cmd_units -time ps -capacitance fF
read_verilog netlist.v
link_design netlist
{clock}
set inputs [get_ports {{{inputs}}}]
set_input_delay 0 -clock clock $inputs
set_driving_cell -lib_cell {driver} $inputs
set_output_delay 0 -clock clock [all_outputs]
set_load {load} [all_outputs]
{wires}
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


def timing_by_opensta(
    netlist: Netlist, technology: Technology, liberty: Path | None = None, wires: Interconnect | None = None
) -> Timing:
    """The longest path of a netlist according to OpenSTA; memories are boundaries, as they are to our timer.

    `liberty` is another library file with the same cells, such as the complete one; wire loads that it declares
    count, so take them out for a comparison. `wires` of a placed netlist are given to OpenSTA as SPEF.

    Raises:
        Refusal: OpenSTA is not installed.
        SynthesisError: it rejects the netlist, or takes too long.
    """
    if not available():
        raise Refusal("OpenSTA is not on PATH; install the package opensta, or leave --timer opensta out")
    written = _Written(netlist)
    clocked = f" [get_pins {{{' '.join(written.clocks)}}}]" if written.clocks else ""
    # So short that every path is late: OpenSTA takes slacks for equal that differ by a millionth of their size.
    clock = f"create_clock -name clock -period 1{clocked}"
    if clocked:
        clock += f"\nset_clock_transition {CLOCK_SLEW} [get_clocks clock]"
    script = _SCRIPT.format(
        clock=clock,
        inputs=" ".join(written.inputs),
        driver=technology.driving_cell,
        load=technology.load,
        wires="" if wires is None else "read_spef netlist.spef",
    )
    with tempfile.TemporaryDirectory(prefix="amhw-sta-") as name:
        folder = Path(name)
        (folder / "cells.lib").write_text(
            technology.liberty if liberty is None else liberty.read_text(encoding="utf-8"), encoding="utf-8"
        )
        (folder / "netlist.v").write_text(written.verilog, encoding="utf-8")
        if wires is not None:
            (folder / "netlist.spef").write_text(spef(wires, written.nets, written.pins.get), encoding="utf-8")
        (folder / "script.tcl").write_text(script, encoding="utf-8")
        run = run_tool(["sta", "-no_init", "-no_splash", "-exit", "script.tcl"], folder, "OpenSTA")
    return _report(run.stdout + run.stderr, netlist, written)


def timing_with_wires(netlist: Netlist, technology: Technology, wires: Interconnect) -> Timing:
    """`timing_by_opensta` of a placed netlist."""
    return timing_by_opensta(netlist, technology, wires=wires)


def timed_again(mapping: Mapping, technology: Technology) -> Mapping:
    """The same netlist with the delay and the longest path that OpenSTA finds.

    Raises:
        Refusal: OpenSTA is not installed.
        SynthesisError: it rejects the netlist.
    """
    assert mapping.gates is not None, "synthesised with netlists=True"
    found = timing_by_opensta(mapping.gates, technology)
    return replace(mapping, delay_ps=found.delay_ps, path=found.path, setup_ps=found.setup_ps)


class _Written:
    """The netlist, flat, in the little Verilog that OpenSTA's reader knows: its own names for ports, nets and gates.

    What leaves a memory is a port in, what enters it a port out. The clock begins at the clock pins themselves: as in
    our timer it is ideal, whatever gates or inverts it before.
    """

    def __init__(self, netlist: Netlist) -> None:
        self.names: dict[str, str] = {}
        """Of each bit of a port what it is called in the netlist."""
        self.inputs: list[str] = []
        """The ports in but those that clock registers themselves."""
        self.gates = {f"g{k}": gate for k, gate in enumerate(netlist.instances)}
        pins = {
            f"{name}/{pin.name}": gate.nets[pin.name]
            for name, gate in self.gates.items()
            if gate.cell.flip_flop is not None
            for pin in gate.cell.inputs
            if pin.is_clock
        }
        self.clocks = list(pins)
        """The clock pins of the registers."""
        clocked = set(pins.values())
        nets = self.nets = {ZERO: "1'b0", ONE: "1'b1"}
        ports: list[str] = []
        into = [*netlist.inputs.items(), *((memory.name, memory.outputs) for memory in netlist.memories)]
        for name, net, k in _bits(into):
            port = nets[net] = f"i{len(ports)}"
            ports.append(f"input {port}")
            self.names[port] = name if k is None else f"{name}[{k}]"
            if net not in clocked:
                self.inputs.append(port)
        assigned = []
        out = [*netlist.outputs.items(), *((memory.name, memory.inputs) for memory in netlist.memories)]
        for name, net, k in _bits(out):
            port = f"o{len(ports)}"
            ports.append(f"output {port}")
            self.names[port] = name if k is None else f"{name}[{k}]"
            if nets.setdefault(net, port) != port:
                assigned.append(f"assign {port} = {nets[net]};")
        self.pins: dict[Pin, str] = {("", self.names[port]): port for port in nets.values() if port in self.names}
        """What pins and ports are called in SPEF, but for ports that are assigned to."""
        for name, gate in self.gates.items():
            self.pins |= {(gate.name, pin): f"{name}:{pin}" for pin in gate.nets}
        inside = [net for gate in netlist.instances for net in gate.nets.values()]
        wires = [nets.setdefault(net, f"n{net}") for net in dict.fromkeys(inside) if net not in nets]
        self.verilog = "\n".join(
            [
                f"module netlist ({', '.join(port.split()[1] for port in ports)});",
                *(f"{port};" for port in ports),
                *(f"wire {wire};" for wire in wires),
                *(
                    f"{gate.cell.name} {name} ({', '.join(f'.{pin}({nets[net]})' for pin, net in gate.nets.items())});"
                    for name, gate in self.gates.items()
                ),
                *assigned,
                "endmodule\n",
            ]
        )


def _bits(ports: Iterable[tuple[str, tuple[int, ...]]]) -> Iterator[tuple[str, int, int | None]]:
    for name, nets in ports:
        for k, net in enumerate(nets):
            yield name, net, k if len(nets) > 1 else None


def _report(text: str, netlist: Netlist, written: _Written) -> Timing:
    if error := re.search(r"^Error: (?!.*missing one or more thresholds)(.*)", text, re.MULTILINE):
        raise SynthesisError(f"OpenSTA: {error[1]}")
    if "No paths found" in text:
        return Timing(0.0, "", "", ())
    arrival = re.search(r"^\s*(-?[\d.]+)\s+data arrival time", text, re.MULTILINE)
    if arrival is None:
        raise SynthesisError(f"OpenSTA gave no path: {' '.join(text.split())[-300:]}")
    ends = [re.search(rf"^{word}: (\S+)", text, re.MULTILINE) for word in ("Startpoint", "Endpoint")]
    start, end = (_place(match[1] if match else "", netlist, written) for match in ends)
    setup = re.search(r"^\s*(-?[\d.]+)\s+(-?[\d.]+)\s+library setup time", text, re.MULTILINE)
    margin = -float(setup[1]) if setup else 0.0
    steps = []
    for row in _ROW.finditer(text[: arrival.end()]):
        if row["load"] is None:  # a clock pin, or one at the end
            continue
        cell = "input" if row["cell"] == "in" else row["cell"]
        edge = "rise" if row["edge"] == "^" else "fall"
        net = _net(row["pin"], netlist, written)
        name = written.gates[gate].name if (gate := row["pin"].partition("/")[0]) in written.gates else ""
        steps.append(
            Step(cell, float(row["time"]), float(row["slew"]), float(row["load"]), 0, "", edge, net, gate=name)
        )
    return Timing(round(float(arrival[1]) + margin, 2), start, end, tuple(steps), round(margin, 2))


def _place(name: str, netlist: Netlist, written: _Written) -> str:
    """A port's or a register's name in the netlist."""
    return register_name(netlist, written.gates[name]) if name in written.gates else written.names.get(name, name)


def _net(pin: str, netlist: Netlist, written: _Written) -> str:
    gate, _, output = pin.partition("/")
    return netlist.names.get(written.gates[gate].nets.get(output, ZERO), "") if output else written.names.get(pin, pin)
