"""The wires of a placed netlist as SPEF (IEEE 1481), the form in which other timers read them."""

from collections.abc import Callable, Iterator, Mapping

from amhw.synth.interconnect import Interconnect, Pin, Tree


def spef(wires: Interconnect, net_names: Mapping[int, str], pin_name: Callable[[Pin], str | None]) -> str:
    """The text.

    Args:
        wires: of the netlist; each net's tree becomes its RC network.
        net_names: what nets are called in the netlist that goes with it; others are left out.
        pin_name: what a pin is called there, `gate:pin` or the port's name; None for one that is not on this
            net there.
    """
    lines = [
        '*SPEF "IEEE 1481-1998"',
        '*DESIGN "netlist"',
        '*DATE ""',
        '*VENDOR ""',
        '*PROGRAM "amhw"',
        '*VERSION ""',
        '*DESIGN_FLOW ""',
        "*DIVIDER /",
        "*DELIMITER :",
        "*BUS_DELIMITER [ ]",
        "*T_UNIT 1 PS",
        "*C_UNIT 1 FF",
        "*R_UNIT 1 OHM",
        "*L_UNIT 1 HENRY",
    ]
    for net, tree in wires.trees.items():
        if net in net_names:
            lines += ["", *_net(net_names[net], tree, pin_name)]
    return "\n".join(lines) + "\n"


def _net(name: str, tree: Tree, pin_name: Callable[[Pin], str | None]) -> Iterator[str]:
    ends = [(tree.driver, 0, "O"), *((pin, node, "I") for pin, node in tree.readers.items())]
    pins = [(pin[0], called, node, way) for pin, node, way in ends if (called := pin_name(pin)) is not None]
    nodes = [f"{name}:{node + 1}" for node in range(len(tree.points))]
    caps = [0.0] * len(tree.points)
    for node, above in enumerate(tree.above):
        half = tree.edges[node][1] / 2
        caps[node] += half
        caps[above] += half
    yield f"*D_NET {name} {tree.capacitance:.6g}"
    yield "*CONN"
    for gate, called, _, way in pins:
        port = {"O": "I", "I": "O"}[way]  # what drives the net comes in there
        yield f"*I {called} {way}" if gate else f"*P {called} {port}"
    yield "*CAP"
    yield from (
        f"{k} {node} {capacitance:.8g}" for k, (node, capacitance) in enumerate(zip(nodes, caps, strict=True), 1)
    )
    yield "*RES"
    resistors = [(nodes[above], nodes[node], tree.edges[node][0]) for node, above in enumerate(tree.above) if node]
    resistors += [(nodes[node], called, 0.0) for _, called, node, _ in pins]  # each pin sits on its node
    yield from (f"{k} {a} {b} {ohm:.8g}" for k, (a, b, ohm) in enumerate(resistors, 1))
    yield "*END"
