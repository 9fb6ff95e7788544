"""Images through the compiled Verilog of an engine for a whole network: every logit and class against the golden model.

Examples: python scripts/bench_network.py mul_u8s8_pp_0_0_0_0_0_0_f0_f0 --images 10000
          python scripts/bench_network.py mul_u8s8_pp_0_0_0_0_0_0_e0_e0 --remap
          python scripts/bench_network.py selected.npz
          python scripts/bench_network.py mul_u8s8_pp_full --model resnet8 --rows 36 --window 3,3 --images 200
          python scripts/bench_network.py selected.npz --workers 16 --keep model
"""

import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch

from amhw import ProductTable, parse
from amhw.array import files
from amhw.array.compiled import build, run_network
from amhw.array.config import ArrayConfig
from amhw.array.designs import multipliers_made_for, network_engine
from amhw.array.schedule import Schedule
from amhw.commands.base import Command, print_json
from amhw.datasets import mnist_test
from amhw.network.inference import Inference
from amhw.network.models import lenet5, model_named
from amhw.network.module import NetworkModule
from amhw.network.quantise import quantise
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.remap.fit import fit
from amhw.simulation import simulator_environment
from amhw.stages.problem import Problem
from amhw.stages.source import SourceTree

HARNESS = Path(__file__).parent.parent / "sim" / "network_harness.cpp"


@click.command(cls=Command, epilog="Example: python scripts/bench_network.py mul_u8s8_pp_0_0_0_0_0_0_f0_f0 --workers 2")
@click.argument("multiplier")
@click.option("--images", default=10000, show_default=True, help="How many test images.")
@click.option("--first", default=0, show_default=True, help="Begin with this image.")
@click.option("--workers", default=2, show_default=True, help="Processes that share the images, each with the model.")
@click.option("--rows", default=25, show_default=True)
@click.option("--cols", default=16, show_default=True)
@click.option("--depth", default=1, show_default=True)
@click.option("--window", help="Height and width, such as 3,3.")
@click.option("--batch", default=32, show_default=True)
@click.option("--network", metavar="FILE", help="Instead of the shipped LeNet-5.")
@click.option("--layers", metavar="NAMES", help="That have the multiplier, not all; the others are exact.")
@click.option("--model", metavar="NAME", help="A known network with random weights, on random images.")
@click.option("--remap", is_flag=True, help="With weights chosen for the multiplier, which only convolutions have.")
@click.option("--stalls", default=0.0, show_default=True, help="Share of clocks in which each side stalls.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Keep the compiled model there, and use one that is there if it is of the same engine.",
)
def main(
    multiplier: str,
    images: int,
    first: int,
    workers: int,
    rows: int,
    cols: int,
    depth: int,
    window: str | None,
    batch: int,
    network: str | None,
    layers: str | None,
    model: str | None,
    remap: bool,
    stalls: float,
    keep: Path | None,
) -> int:
    """Images through the engine's compiled Verilog, against the golden model; one JSON object.

    A network file instead of a multiplier says which ones its layers were made for.
    """
    made = multiplier.endswith(".npz")
    network = multiplier if made else network
    pixels = mnist_test().images[first : first + images]
    if model is None:
        net = lenet5.network() if network is None else QuantisedNetwork.load(network)
    else:
        net, pixels = _random(model, images)
    multipliers = multipliers_made_for(net)
    everywhere = net.convolutions if remap else net.layer_names
    chosen = everywhere if layers is None else layers.split(",")
    if not made:
        multipliers |= dict.fromkeys(chosen, parse(multiplier))
    if remap:
        loaded = Problem(network).loaded
        tables = {name: ProductTable.of(multipliers[name]) for name in chosen}
        net = fit(net, tables, loaded.teacher, loaded.judge).network
    taps = (0, 0) if window is None else tuple(map(int, window.split(",")))
    shape = {"rows": rows, "cols": cols, "depth": depth, "window": (taps[0], taps[1]), "batch": batch}
    config = ArrayConfig.joining(multipliers.values(), **shape)
    schedule = Schedule(net, config, multipliers if config.masks else {})
    with tempfile.TemporaryDirectory() as temporary, simulator_environment():
        started = time.monotonic()
        folder = keep or Path(temporary)
        program, key = folder / "build" / "engine", folder / "engine.key"
        emitted = built = started
        if not (program.exists() and key.exists() and key.read_text() == _key(schedule)):
            text, manifest = network_engine(schedule, "engine")
            emitted = time.monotonic()
            source, *_ = files.write(folder, text, manifest)
            build(source, HARNESS, program.parent)
            key.write_text(_key(schedule))
            built = time.monotonic()
        begun = time.monotonic()
        found = run_network(program, schedule, pixels, workers, stalls)
        simulated = time.monotonic()
    wanted = Inference(net, schedule.tables).logits(pixels)
    classes = int((found.classes == wanted.argmax(axis=1)).sum())
    equal = int((found.logits == wanted).sum())
    labels = mnist_test().labels[first : first + images]
    print_json(
        {
            "multipliers": {layer: one.name for layer, one in multipliers.items()},
            "gates": len(config.gates),
            "network": net.name,
            "input_rounding": [layer.input_rounding for layer in net.layers],
            "array": f"{rows}x{cols}",
            "depth": depth,
            "images": len(pixels),
            "logits": wanted.size,
            "logits_equal": equal,
            "classes_equal": classes,
            "correct": int((found.classes == labels).sum()) if model is None else None,
            "clocks_per_image": round(found.clocks_per_image, 2),
            "clocks_planned": round(schedule.clocks_per_image, 2),
            "latency_of_the_first": found.latency,
            "clocks_ideal": schedule.ideal_clocks_per_image,
            "seconds_emit": round(emitted - started, 1),
            "seconds_build": round(built - emitted, 1),
            "seconds_simulate": round(simulated - begun, 1),
        }
    )
    return 0 if equal == wanted.size and classes == len(pixels) else 1


def _key(schedule: Schedule) -> str:
    """What says which engine it is: network, array, multipliers, and the source of what makes it."""
    source = SourceTree.own()
    layers = [f"{name} {one.name}" for name, one in sorted(schedule.multipliers.items())]
    parts = [schedule.network.sha256, repr(schedule.config), *layers]
    return "\n".join([*parts, source.digest(source.closure(["amhw.array.designs"])), HARNESS.read_text()])


def _random(model: str, images: int) -> tuple[QuantisedNetwork, np.ndarray]:
    """The network with torch's initial weights, and noise in its shape."""
    structure = model_named(model)
    pixels = np.random.default_rng(1).integers(0, 256, (images, *structure.input_shape), dtype=np.uint8)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        real = FloatNetwork.of(NetworkModule(structure))
    return quantise(real, pixels[:32], Operands()), pixels


if __name__ == "__main__":
    main()
