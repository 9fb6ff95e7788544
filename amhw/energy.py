"""Energy of a multiplier on the operands that LeNet-5 gives it, and on random ones.

    amhw energy NAME

The netlist is the one with the least area × delay; `amhw.synth.energy` says how its energy is counted.
"""

import click
import numpy as np
from numpy.typing import NDArray

from amhw.command import Command, print_json
from amhw.lenet.data import mnist_slice
from amhw.lenet.inference import Inference, im2col
from amhw.lenet.network import QuantisedNetwork
from amhw.lenet.shipped import network_for
from amhw.refusal import Refusal
from amhw.synth import RECIPES, Expected, Synthesiser
from amhw.synth.energy import ASSUMPTIONS, energy
from amhw.synth.failure import SynthesisError
from amhw.synth.store import named
from amhw.table import ProductTable
from amhw.verilog import Design

OPERATIONS = 1 << 14
"""Operand pairs in a trace."""

_IMAGES = 20
_SEED = 1

Trace = dict[str, NDArray[np.int64]]


def uniform_trace(width_a: int, width_b: int, length: int = OPERATIONS) -> Trace:
    """Independent, uniformly distributed operand codes; the same ones every time."""
    random = np.random.default_rng(_SEED)
    return {"a": random.integers(0, 1 << width_a, length), "b": random.integers(0, 1 << width_b, length)}


def mnist_trace(network: QuantisedNetwork, layer: str, length: int = OPERATIONS) -> Trace:
    """Consecutive operand codes of multipliers in a weight-stationary array that computes `layer` on MNIST.

    A multiplier keeps one weight while the activations of all output positions of an image pass by, row by row;
    then comes another weight of the layer and another image of the training slice, both drawn at random.
    """
    chosen = network[layer]
    images = mnist_slice().images
    random = np.random.default_rng(_SEED)
    images = images[random.choice(len(images), _IMAGES, replace=False)]
    windows = im2col(chosen, Inference(network).inputs(images)[layer])
    streams = windows.reshape(len(images), -1, windows.shape[-1])
    if chosen.is_linear:  # one position an image: the images pass by
        streams = streams.transpose(1, 0, 2)
    weights = chosen.weight_codes.astype(np.int64)
    a, b, have = [], [], 0
    while have < length:
        tap = random.integers(streams.shape[-1])
        stream = streams[random.integers(len(streams)), :, tap].astype(np.int64)
        a.append(stream)
        b.append(np.full(stream.size, weights[random.integers(len(weights)), tap]))
        have += stream.size
    return {"a": np.concatenate(a)[:length], "b": np.concatenate(b)[:length]}


@click.command(cls=Command, epilog="Example: amhw energy mul_u8s8_pp_0_0_0_0_20_f0_f8_fc --layer conv2")
@click.argument("name")
@click.option("--tech", default="sky130hd", show_default=True, help="Technology; see amhw tech list.")
@click.option("--layer", default="conv2", show_default=True, help="The layer whose operands are used.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, tech: str, layer: str, as_json: bool) -> None:
    """Energy of one operation of the multiplier NAME: on LeNet-5's operands in a layer, and on random ones."""
    design = Design.parse(name)
    table = ProductTable.of(design.multiplier)
    network = network_for(table, (layer,))
    traces = {"uniform": uniform_trace(table.width_a, table.width_b), f"MNIST {layer}": mnist_trace(network, layer)}
    technology = named(tech)
    with Synthesiser(technology, RECIPES, workers=1, netlists=True) as synthesiser:
        try:
            result = synthesiser.submit(design.verilog(), design.name, Expected(table.products)).result()
        except SynthesisError as error:
            raise click.ClickException(f"{name}: {error}") from error
    gates = result.best_product.gates
    if technology.library.voltage == 0:
        raise Refusal(f"{tech} does not say its supply voltage (nom_voltage), so there is no energy")
    assert gates is not None
    found = {operands: energy(gates, technology, trace) for operands, trace in traces.items()}
    if as_json:
        print_json(
            {
                "design": design.name,
                "tech": technology.name,
                "tech_sha256": technology.sha256,
                "recipe": result.best_product.recipe,
                "area_um2": result.area_um2,
                "delay_ps": result.delay_ps,
                "network_sha256": network.sha256,
                "operands": {operands: figures.record() for operands, figures in found.items()},
                "assumptions": ASSUMPTIONS,
            }
        )
        return
    click.echo(f"{design.name} in {technology.name}, recipe {result.best_product.recipe}, fJ per operation")
    click.echo(f"{'operands':14s} {'settled':>9s} {'timed':>9s} {'leakage':>9s}  toggles settled, timed")
    for operands, e in found.items():
        figures = f"{e.settled_fj:9.1f} {e.timed_fj:9.1f} {e.leakage_fj:9.4f}"
        click.echo(f"{operands:14s} {figures}  {e.toggles:.1f}, {e.timed_toggles:.1f}")
    click.echo(ASSUMPTIONS)


if __name__ == "__main__":
    command(prog_name="amhw energy")
