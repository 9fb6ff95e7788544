"""The process that runs Coloquinte, which prints what it does. Started by `amhw.synth.placement` as a script.

It reads one JSON object from standard input: `width` and `height` of the core and `row` (the height of a row) in
Coloquinte's whole units, `cells` (their widths), `ports` (their places), `nets` (numbers of cells, then of ports) and
`seeds`, and for each seed in `starts` null or where the cells stand, from which only what overlaps is moved and then
neighbours are exchanged. It answers with `places`: for each seed the lower left corners of the cells. The seed also
weighs the nets, by up to a tenth more or less: Coloquinte's own seed alone changes little.
"""

import json
import os
import random
import sys
from typing import Any

EFFORT = 1
"""Of Coloquinte, 1 to 9. Effort 3 shortens the wires of a multiplier by 2 % and takes twice the time."""


def serve() -> None:
    """Answer one question."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    question = json.load(sys.stdin)
    places = [placed(question, *each) for each in zip(question["seeds"], question["starts"], strict=True)]
    json.dump({"places": places}, answers)
    answers.close()


def placed(question: dict[str, Any], seed: int, start: list[tuple[int, int]] | None) -> list[tuple[int, int]]:
    """The lower left corner of each cell, near where it stands in `start` if there is one."""
    import coloquinte

    row, widths, ports = question["row"], question["cells"], question["ports"]
    weights = random.Random(seed)
    circuit = coloquinte.Circuit(len(widths) + len(ports))
    circuit.cell_width = widths + [0] * len(ports)
    circuit.cell_height = [row] * len(widths) + [0] * len(ports)
    circuit.cell_is_fixed = [False] * len(widths) + [True] * len(ports)
    circuit.cell_is_obstruction = [True] * len(widths) + [False] * len(ports)
    middle = question["width"] // 2, question["height"] // 2
    circuit.cell_x, circuit.cell_y = map(list, zip(*(start or [middle] * len(widths)), *ports, strict=True))
    circuit.setup_rows(coloquinte.Rectangle(0, question["width"], 0, question["height"]), row, True, True)
    middles = [(width // 2, row // 2) for width in widths] + [(0, 0)] * len(ports)
    for pins in question["nets"]:
        x, y = zip(*(middles[pin] for pin in pins), strict=True)
        circuit.add_net(pins, list(x), list(y), float(weights.randint(18, 22)))  # whole ones are wanted
    parameters = coloquinte.ColoquinteParameters(EFFORT, seed)
    if start is None:
        circuit.place_global(parameters)
    circuit.legalize(parameters)
    circuit.place_detailed(parameters)
    return list(zip(circuit.cell_x, circuit.cell_y, strict=True))[: len(widths)]


if __name__ == "__main__":
    serve()
