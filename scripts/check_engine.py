"""Random networks through compiled engines, every logit against the plain loops of `amhw.network.reference`.

Networks of convolutions with any kernel, stride and padding, pools, additions and linear layers (the strategy of
tests/random_networks.py) are dealt to arrays of several shapes. Each array is one Verilog file that can run all of its
networks; each network is written through the configuration port, and its images come with random stalls. Layers have
one of three masks of partial products each, between which the array switches.

Example: python scripts/check_engine.py --networks 240
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from random_networks import networks, with_roundings, with_weights  # noqa: E402 (a folder of tests is no package)

from amhw import Masked  # noqa: E402
from amhw.array import files  # noqa: E402
from amhw.array.compiled import build, run_network  # noqa: E402
from amhw.array.config import ArrayConfig  # noqa: E402
from amhw.array.designs import network_engine  # noqa: E402
from amhw.array.program import Sizes  # noqa: E402
from amhw.array.schedule import Schedule  # noqa: E402
from amhw.array.writes import writes  # noqa: E402
from amhw.commands.base import Command, print_json  # noqa: E402
from amhw.network import reference  # noqa: E402
from amhw.network.quantise import quantise  # noqa: E402
from amhw.network.quantised import Operands  # noqa: E402
from amhw.simulation import simulator_environment  # noqa: E402

HARNESS = Path(__file__).parent.parent / "sim" / "network_harness.cpp"

U8S8, S8S8, U4S3 = Operands(), Operands(8, 8, True), Operands(4, 3)

ARRAYS = (
    (U8S8, {"rows": 9, "cols": 4, "sums": 400}),
    (S8S8, {"rows": 4, "cols": 1, "depth": 2, "batch": 5, "sums": 400}),
    (U4S3, {"rows": 12, "cols": 6, "window": (2, 3), "requantisers": 6, "batch": 2, "sums": 400}),
    (U8S8, {"rows": 6, "cols": 3, "window": (3, 2), "batch": 1, "sums": 40}),
    (U4S3, {"rows": 16, "cols": 8, "window": (2, 2), "requantisers": 4, "sums": 400}),
)


@click.command(cls=Command, epilog="Example: python scripts/check_engine.py --networks 240")
@click.option("--networks", "count", default=240, show_default=True, help="How many.")
@click.option("--images", default=6, show_default=True, help="Through each.")
@click.option("--only", type=int, help="Only this array, 0 the first.")
def main(count: int, images: int, only: int | None) -> int:
    """Random networks through engines that are written from outside; one JSON object."""
    drawn: list[tuple[object, int]] = []
    quiet = settings(max_examples=count, database=None, derandomize=True, deadline=None, phases=[Phase.generate])

    @settings(quiet, suppress_health_check=list(HealthCheck))
    @given(network=networks(), seed=st.integers(0, 99))
    def draw(network: object, seed: int) -> None:
        drawn.append((network, seed))

    draw()
    equal = total = 0
    kinds: dict[str, int] = {}
    started = time.monotonic()
    for index, (operands, shape) in enumerate(ARRAYS):
        if only in (None, index):
            with tempfile.TemporaryDirectory() as folder, simulator_environment():
                found, all_of_it = _array(Path(folder), operands, shape, drawn[index :: len(ARRAYS)], images, kinds)
            equal, total = equal + found, total + all_of_it
            click.echo(f"array {index}: {found} of {all_of_it} logits equal", err=True)
    print_json(
        {
            "networks": len(drawn) if only is None else len(drawn[only :: len(ARRAYS)]),
            "logits": total,
            "equal": equal,
            "operations": kinds,
            "seconds": round(time.monotonic() - started, 1),
        }
    )
    return 0 if equal == total else 1


def _array(folder, operands, shape, drawn, images, kinds):  # type: ignore[no-untyped-def]
    multipliers = _masks(operands)
    config = ArrayConfig.joining(multipliers, **shape)
    made = []
    for network, seed in drawn:
        random = np.random.default_rng(seed)
        pixels = random.integers(0, 256, (30, *network.input_shape), dtype=np.uint8)
        quantised = quantise(with_weights(network, seed), pixels, operands)
        pixels = pixels[:images]
        layers = {name: multipliers[random.integers(len(multipliers))] for name in quantised.layer_names}
        made.append((Schedule(with_roundings(quantised, random if seed % 2 else None), config, layers), pixels, seed))
    schedules = [schedule for schedule, *_ in made]
    for one in (one for schedule in schedules for one in schedule.operations):
        kinds[one.kind] = kinds.get(one.kind, 0) + 1
    text, manifest = network_engine(schedules[0], "engine", schedules[1:])
    source, *_ = files.write(folder, text, manifest)
    program = build(source, HARNESS, folder / "build")
    sizes = Sizes(tuple(schedules))
    equal = total = 0
    for schedule, pixels, seed in made:
        words = folder / "writes.bin"
        words.write_bytes(writes(sizes, manifest.memory_map, schedule).tobytes())
        found = run_network(program, schedule, pixels, stalls=(seed % 3) / 4, seed=seed, writes=words)
        logits = reference.outputs(schedule.network, schedule.tables, pixels)[schedule.network.network.layers[-1].name]
        same = int((found.logits == logits).sum()) if (found.classes == logits.argmax(axis=1)).all() else 0
        if same != logits.size:
            click.echo(f"seed {seed}, {same} of {logits.size}: {schedule.network.network}", err=True)
        equal, total = equal + same, total + logits.size
    return equal, total


def _masks(operands: Operands) -> list[Masked]:
    """Most partial products, and two random halves of all."""
    most = Masked.columns(
        2, operands.activation_width, operands.weight_width, signed_a=operands.activation_signed, signed_b=True
    )
    halves = np.random.default_rng(0).integers(0, 1 << operands.weight_width, (2, operands.activation_width))
    return [most, *(replace(most, rows=tuple(rows)) for rows in halves.tolist())]


if __name__ == "__main__":
    main()
