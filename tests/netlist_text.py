"""A mapped netlist in the form that ABC reads."""

from amhw.synth.netlist import ONE, ZERO, Netlist


def blif(netlist: Netlist) -> str:
    """The combinational netlist as mapped BLIF; nets are called after their numbers."""
    inputs = [f"n{net}" for nets in netlist.inputs.values() for net in nets]
    outputs = [f"n{net}" for nets in netlist.outputs.values() for net in nets]
    lines = [f".model {netlist.top}", f".inputs {' '.join(inputs)}", f".outputs {' '.join(dict.fromkeys(outputs))}"]
    lines += [f".names n{ZERO}"] * (f"n{ZERO}" in outputs) + [f".names n{ONE}\n1"] * (f"n{ONE}" in outputs)
    for gate in netlist.gates:
        lines.append(f".gate {gate.cell.name} " + " ".join(f"{pin}=n{net}" for pin, net in gate.nets.items()))
    return "\n".join([*lines, ".end", ""])
