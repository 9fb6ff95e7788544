"""The command `amhw array`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from amhw.array import files
from amhw.array.tiling import DATAFLOWS, Tiling
from amhw.commands import shared
from amhw.commands.base import Command, print_json, print_next, refuse_without_effect
from amhw.imports.designs import design_of
from amhw.manifests import ArrayManifest
from amhw.refusal import Refusal
from amhw.table import ProductTable

if TYPE_CHECKING:
    from amhw.array.schedule import Schedule
    from amhw.multiplier import Multiplier
    from amhw.network.quantised import QuantisedNetwork

NETWORK = ".npz"
"""Suffix of a network file."""

BATCH = 32
"""Images that share the weights of the linear layers, by default."""


@click.command(
    cls=Command,
    epilog="Example: amhw array mul_u8s8_pp_0_0_0_0_0_0_f0_f0 --rows 25 --cols 16 --out rtl_out",
)
@shared.multiplier(required=False)
@shared.rows()
@shared.cols()
@shared.depth()
@shared.network()
@click.option("--whole", is_flag=True, help="The whole network, from its images to its classes.")
@click.option(
    "--then",
    metavar="FILE|exact",
    help="A second network in the same engine, asked where the first is in doubt; exact: the shipped LeNet-5.",
)
@shared.threshold()
@shared.window()
@shared.batch()
@shared.show()
@click.option("--matmul", metavar="M,K,N", help="Not a network: a matrix product of this shape.")
@click.option(
    "--dataflow", type=click.Choice(DATAFLOWS), default=DATAFLOWS[0], show_default=True, help="Of a matrix product."
)
@shared.name()
@shared.out(default=Path("rtl_out"))
@shared.json()
def command(
    multiplier: str | None,
    rows: int,
    cols: int,
    depth: int,
    network: Path | None,
    whole: bool,
    then: str | None,
    threshold: int | None,
    window: str | None,
    batch: int | None,
    show: bool,
    matmul: str | None,
    dataflow: str,
    name: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Generate a systolic array: Verilog, a manifest and a FuseSoC core file.

    Each of its elements has the multiplier that has this NAME, or that amhw gen wrote to FILE. It runs a network's two
    convolutions, with --whole all layers of a network of any shape, or with --matmul a matrix product.

    With --whole, a network FILE (.npz) instead of a multiplier says which multiplier each layer was made for. Masks
    of partial products (pp) that differ from layer to layer share one array.

    With --then, the engine has two networks: each image is classified by the first, and again by the second where the
    margin of its two largest logits is below --threshold, as amhw cascade finds it. Images run one at a time.
    """
    from amhw.array.designs import conv_engine, matrix_product, network_engine
    from amhw.array.plan import ConvPlan
    from amhw.network.models import lenet5 as shipped
    from amhw.network.quantised import QuantisedNetwork

    if then is not None:
        refuse_without_effect(["whole", "batch", "matmul", "dataflow", "show"], "--then says what the engine runs")
        _cascade(multiplier, network, then, threshold, (rows, cols, depth), _taps(window), name, out, as_json=as_json)
        return
    if threshold is not None:
        raise Refusal("--threshold is for --then: which network is asked below it")
    whole = whole or show
    if multiplier is not None and Path(multiplier).suffix == NETWORK:
        if network is not None:
            raise Refusal(f"{multiplier} and {network}: give one network, as the argument or as --network")
        network = Path(multiplier)
        multiplier = None
    if multiplier is None and network is None:
        raise Refusal(shared.NO_MULTIPLIER)
    if multiplier is None and not whole:
        raise Refusal(f"{network} says which multipliers its layers have to --whole only: give that, or a multiplier")
    chosen = None if multiplier is None else design_of(multiplier).multiplier
    network_files: list[Path] = []
    manifest: ArrayManifest
    for option, given in (("--window", window), ("--batch", batch)):
        if given is not None and not whole:
            raise Refusal(f"{option} is for --whole")
    if whole and matmul is not None:
        raise Refusal("give --whole or --matmul, not both")
    if matmul is not None:
        if network is not None:
            raise Refusal("give --network or --matmul, not both")
        assert chosen is not None, "refused above"
        text, manifest = matrix_product(chosen, Tiling(_product(matmul), rows, cols, depth, dataflow), name)
        speed = f"{manifest.cycles} clocks a product, utilisation {manifest.utilisation:.1%}"
    else:
        if dataflow != DATAFLOWS[0]:
            raise Refusal(f"a network's convolutions are {DATAFLOWS[0]}; {dataflow} is for --matmul")
        value = shipped.network() if network is None else QuantisedNetwork.load(network)
        if whole:
            schedule = schedule_of(value, chosen, rows, cols, depth, window, batch)
            if show:
                _show(schedule, as_json)
                return
            text, manifest = network_engine(schedule, name)
            speed = _speed(schedule)
        else:
            assert chosen is not None, "refused above"
            plan = ConvPlan(value, ProductTable.of(chosen), rows, cols, depth)
            text, manifest = conv_engine(chosen, plan, name)
            speed = (
                f"{manifest.cycles_per_image} clocks an image, utilisation {manifest.utilisation:.1%} "
                f"where the shape allows {manifest.ideal_utilisation:.1%}"
            )
        network_files = [value.save(out / manifest.network)]
    written = [*files.write(out, text, manifest), *network_files]
    if as_json:
        names = ("verilog", "manifest", "core", "network")
        print_json({**manifest.plain(), **dict(zip(names, map(str, written), strict=False))})
        return
    click.echo("\n".join(map(str, written)))
    click.echo(speed, err=True)
    print_next("sim", written[1])


def _cascade(
    multiplier: str | None,
    network: Path | None,
    then: str,
    threshold: int | None,
    array: tuple[int, int, int],
    window: tuple[int, int],
    name: str | None,
    out: Path,
    *,
    as_json: bool,
) -> None:
    """An engine of two networks, each with the multipliers that it was made for."""
    from amhw.array.cascade_engine import cascade_engine, cascade_on
    from amhw.network.models import lenet5 as shipped
    from amhw.network.quantised import QuantisedNetwork

    if multiplier is not None and network is None and Path(multiplier).suffix == NETWORK:
        network = Path(multiplier)
        multiplier = None
    if network is None or multiplier is not None:
        raise Refusal("--then is for two networks that say which multipliers they were made for: amhw array FILE.npz …")
    if threshold is None:
        raise Refusal("--then wants the --threshold of the margin; amhw cascade finds one")
    both = [QuantisedNetwork.load(network), shipped.network() if then == "exact" else QuantisedNetwork.load(then)]
    rows, cols, depth = array
    cascade = cascade_on(both, threshold, rows=rows, cols=cols, depth=depth, window=window)
    text, manifest = cascade_engine(cascade, name)
    networks = [one.save(out / each.network) for one, each in zip(both, manifest.networks, strict=True)]
    written = [*files.write(out, text, manifest), *networks]
    if as_json:
        names = ("verilog", "manifest", "core", "first", "then")
        print_json({**manifest.plain(), **dict(zip(names, map(str, written), strict=True))})
        return
    click.echo("\n".join(map(str, written)))
    click.echo(
        f"{cascade.first.latency} clocks for an image that the first network decides, "
        f"{cascade.first.latency + cascade.then.latency} for another",
        err=True,
    )
    print_next("sim", written[1])


def schedule_of(
    network: "QuantisedNetwork",
    multiplier: "Multiplier | None",
    rows: int,
    cols: int,
    depth: int,
    window: str | None,
    batch: int | None,
) -> "Schedule":
    """A network on the array of these options; without a multiplier, with those that its layers were made for.

    Raises:
        Refusal: they do not fit each other.
    """
    from amhw.array.config import ArrayConfig
    from amhw.array.designs import multipliers_made_for
    from amhw.array.schedule import Schedule

    if multiplier is None:
        multipliers = multipliers_made_for(network)
    else:
        multipliers = dict.fromkeys(network.layer_names, multiplier)
    config = ArrayConfig.joining(
        multipliers.values(),
        rows=rows,
        cols=cols,
        depth=depth,
        window=_taps(window),
        batch=BATCH if batch is None else batch,
    )
    return Schedule(network, config, multipliers if config.masks else {})


def _speed(schedule: "Schedule") -> str:
    return (
        f"{schedule.clocks_per_image:.0f} clocks an image, {schedule.image_clocks} of them before the layers that a "
        f"batch shares; utilisation {schedule.utilisation:.1%}; {schedule.latency} clocks for a single image"
    )


def _show(schedule: "Schedule", as_json: bool) -> None:
    from amhw.array.listing import aligned, listing

    if as_json:
        parts = ("fetch", "weights", "finish")
        operations = [
            {"name": one.name, "kind": one.kind, **{part: vars(getattr(one, part)) for part in parts}}
            for one in schedule.operations
        ]
        print_json({"setup": vars(schedule.setup), "operations": operations})
        return
    click.echo(aligned(listing(schedule)))
    click.echo(_speed(schedule), err=True)


def _taps(window: str | None) -> tuple[int, int]:
    """Height and width that --window states; (0, 0) is for the configuration to choose.

    Raises:
        Refusal: it states something else.
    """
    if window is None:
        return 0, 0
    height, width = _numbers("--window H,W, such as 5,5", window, 2)
    return height, width


def _product(text: str) -> tuple[int, int, int]:
    m, k, n = _numbers("--matmul M,K,N, such as 100,150,16", text, 3)
    return m, k, n


def _numbers(form: str, text: str, count: int) -> tuple[int, ...]:
    """The numbers of an option; `form` is how it is written."""
    try:
        numbers = tuple(int(side) for side in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        option = form.split()[0]
        raise Refusal(f"{option} {text!r} is no shape; write {form}")
    return numbers
