"""Test images through the compiled engine of a cascade, every logit and class against the golden model.

The engine is that of `amhw array FIRST --then THEN --threshold MARGIN`. The golden model classifies each image with the
first network's product tables, and again with the second's where the margin is below the threshold.

Example: python scripts/check_cascade.py first.npz then.npz --threshold 4000 --images 10000
"""

import tempfile
import time
from pathlib import Path

import click
import numpy as np

from amhw.array import files
from amhw.array.cascade_engine import cascade_engine, cascade_on
from amhw.array.compiled import build, run_network
from amhw.commands.base import Command, print_json
from amhw.datasets import data_source
from amhw.network.models import lenet5
from amhw.network.quantised import QuantisedNetwork
from amhw.simulation import simulator_environment
from amhw.workers import available_cores

HARNESS = Path(__file__).parent.parent / "sim" / "network_harness.cpp"


@click.command(cls=Command, epilog="Example: python scripts/check_cascade.py first.npz exact --threshold 4000")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("then", metavar="FILE|exact")
@click.option("--threshold", type=int, required=True)
@click.option("--data", type=click.Path(path_type=Path))
@click.option("--images", default=20, show_default=True)
@click.option("--rows", default=25, show_default=True)
@click.option("--cols", default=16, show_default=True)
@click.option("--depth", default=25, show_default=True)
@click.option("--jobs", type=int, help="Simulations side by side. [default: one a core]")
def main(
    first: Path,
    then: str,
    threshold: int,
    data: Path | None,
    images: int,
    rows: int,
    cols: int,
    depth: int,
    jobs: int | None,
) -> int:
    """Test images through the engine; one JSON object."""
    networks = [QuantisedNetwork.load(first), lenet5.network() if then == "exact" else QuantisedNetwork.load(then)]
    cascade = cascade_on(networks, threshold, rows=rows, cols=cols, depth=depth, window=(0, 0))
    test = data_source(data).test.first(images)
    started = time.monotonic()
    wanted, again = cascade.logits(test.images)
    with tempfile.TemporaryDirectory() as folder, simulator_environment():
        text, manifest = cascade_engine(cascade, "dut")
        source, *_ = files.write(folder, text, manifest)
        program = build(source, HARNESS, Path(folder) / "build")
        built = time.monotonic() - started
        found = run_network(program, cascade, test.images, jobs or available_cores())
    print_json(
        {
            "engine": manifest.title,
            "multiplier": manifest.multiplier,
            "networks": [network.name for network in networks],
            "threshold": threshold,
            "images": len(test),
            "again": int(again.sum()),
            "logits_equal": int((found.logits == wanted).sum()),
            "logits": wanted.size,
            "classes_equal": int((found.classes == wanted.argmax(axis=1)).sum()),
            "accuracy": float((found.classes == test.labels).mean()),
            "clocks_per_image": round(found.clocks_per_image, 1),
            "clocks_expected_at_least": round(cascade.clocks(float(again.mean())), 1),
            "clocks": [cascade.first.latency, cascade.then.latency],
            "built_s": round(built, 1),
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    return 0 if np.array_equal(found.logits, wanted) else 1


if __name__ == "__main__":
    main()
