"""All MNIST test images through the 25×16 engine's compiled Verilog; the rest of the network in the golden model.

Example: python scripts/bench_array.py mul_u8s8_pp_0_0_0_0_0_0_f0_f0 --images 10000 --jobs 2
"""

import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch

from amhw import ProductTable, parse
from amhw.array import files
from amhw.array.compiled import build, run
from amhw.array.designs import conv_engine
from amhw.array.plan import ConvPlan
from amhw.commands.base import Command, print_json
from amhw.datasets import mnist_test
from amhw.network.inference import Inference, LayerSums, finish
from amhw.network.models import lenet5 as shipped
from amhw.network.quantised import QuantisedNetwork
from amhw.remap.fit import fit
from amhw.simulation import simulator_environment
from amhw.stages.problem import Problem

HARNESS = Path(__file__).parent.parent / "sim" / "engine_harness.cpp"


@click.command(cls=Command, epilog="Example: python scripts/bench_array.py mul_u8s8_pp_0_0_0_0_0_0_f0_f0 --jobs 2")
@click.argument("multiplier")
@click.option("--images", default=10000, show_default=True, help="How many test images.")
@click.option("--jobs", default=2, show_default=True, help="Programs side by side.")
@click.option("--cols", default=16, show_default=True)
@click.option("--depth", default=1, show_default=True)
@click.option("--network", metavar="FILE", help="Instead of the shipped LeNet-5.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the compiled model there, and use it if it fits.")
@click.option("--remap", is_flag=True, help="With the weights chosen for the multiplier, as amhw select does.")
def main(
    multiplier: str, images: int, jobs: int, cols: int, depth: int, network: str | None, keep: Path | None, remap: bool
) -> int:
    """Images through the engine's compiled Verilog, against the golden model; one JSON object."""
    value = parse(multiplier)
    table = ProductTable.of(value)
    net = shipped.network() if network is None else QuantisedNetwork.load(network)
    if remap:
        loaded = Problem(network).loaded
        net = fit(net, dict.fromkeys(net.convolutions, table), loaded.teacher, loaded.judge).network
    plan = ConvPlan(net, table, 25, cols, depth)
    data = mnist_test().first(images)
    with tempfile.TemporaryDirectory() as temporary, simulator_environment():
        started = time.monotonic()
        folder = keep or Path(temporary)
        text, manifest = conv_engine(value, plan, "engine")
        source, program = folder / "engine.v", folder / "build" / "engine"
        if not (program.exists() and source.exists() and source.read_text() == text):
            files.write(folder, text, manifest)
            program = build(source, HARNESS, program.parent)
        built = time.monotonic()
        result = run(program, plan, data.images, jobs)
        simulated = time.monotonic()
    inference = Inference(net, dict.fromkeys(net.convolutions, table))
    golden = inference.outputs(data.images)
    activations = torch.from_numpy(result.codes)
    for layer in net.layers[2:]:
        activations = finish(layer, LayerSums(layer)(activations))
    predictions, expected = activations.numpy().argmax(axis=1), golden[net.layers[-1].name].argmax(axis=1)
    print_json(
        {
            "multiplier": multiplier,
            "network": net.name,
            "input_rounding": [net[name].input_rounding for name in net.convolutions],
            "array": f"25x{cols}",
            "depth": depth,
            "images": len(data),
            "codes_equal": int((result.codes == golden[net.convolutions[-1]]).sum()),
            "codes": int(result.codes.size),
            "predictions_equal": int((predictions == expected).sum()),
            "correct": int((predictions == data.labels).sum()),
            "cycles_per_image": round(result.cycles_per_image, 3),
            "cycles_planned": plan.cycles_per_image,
            "products_per_image": plan.products,
            "utilisation": round(plan.products / (25 * cols * result.cycles_per_image), 4),
            "utilisation_ideal": round(plan.ideal_utilisation, 4),
            "of_what_the_shape_allows": round(plan.ideal_cycles / result.cycles_per_image, 4),
            "seconds_build": round(built - started, 1),
            "seconds_simulate": round(simulated - built, 1),
        }
    )
    return 0 if np.array_equal(predictions, expected) else 1


if __name__ == "__main__":
    main()
