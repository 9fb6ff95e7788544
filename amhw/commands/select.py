"""The command `amhw select`: the multiplier that fits a demand, and the network that goes with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from amhw.commands import shared
from amhw.commands.base import (
    Command,
    print_json,
    print_next,
    print_note,
    refuse_without_effect,
    results_store,
    worker_failures,
)
from amhw.commands.progress import progress
from amhw.files import check_writable, write_atomically
from amhw.multiplier import parse
from amhw.synth.failure import SynthesisError
from amhw.synth.store import technology_named
from amhw.workers import executor

if TYPE_CHECKING:
    from amhw.select.demands import Demands
    from amhw.select.record import Yardstick
    from amhw.select.solutions import Baseline, Solution
    from amhw.stages.synthesis import Implementation


@click.command(cls=Command, epilog="Example: amhw select --max-area-ratio 0.06")
@click.option("--kept", type=int, metavar="N", help="The best multiplier with N partial products.")
@shared.max_loss()
@click.option("--max-area-ratio", type=float, metavar="R", help="At most R times the smallest exact area.")
@click.option("--max-delay-ratio", type=float, metavar="R", help="At most R times the shortest exact delay.")
@click.option("--max-energy-ratio", type=float, metavar="R", help="At most R times the least exact energy.")
@click.option("--multipliers", type=int, default=1, metavar="K", help="The layers may have K different ones.")
@shared.layers()
@click.option("--no-search", is_flag=True, help="Known good shapes alone, in less than half the time.")
@click.option("--finetune", is_flag=True, help="Train the networks of the front (of --kept's multiplier) further.")
@shared.network()
@shared.data()
@shared.tech()
@shared.seed(default=0)
@shared.out(default=Path("select"))
@shared.results()
@shared.workers()
@shared.dask()
@shared.json()
def command(
    kept: int | None,
    max_loss: float | None,
    max_area_ratio: float | None,
    max_delay_ratio: float | None,
    max_energy_ratio: float | None,
    multipliers: int,
    layers: str | None,
    no_search: bool,
    finetune: bool,
    network: Path | None,
    data: Path | None,
    tech: str,
    seed: int,
    out: Path,
    results: Path | None,
    workers: int | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Choose the partial products from what the network really multiplies.

    The network is a float or a quantised one. Chooses on training images, reports on test images. Writes the
    network with its weights remapped for the multiplier, a file for amhw accuracy --network, into the folder --out;
    the results store, results.sqlite there, keeps every result, so that the next request is quick and an
    interrupted one goes on. A first front is told on the way. Without a demand the whole Pareto front is printed.
    Demands combine: with --max-loss the smallest that meets all of them is chosen, else the one nearest to the
    network as it was; if none does, the nearest is named, and by how much it misses. Area, delay and energy are
    those of one netlist.

    The convolutions get a multiplier, or the --layers that are named, linear ones too; the others multiply exactly.
    With --multipliers K they may have K different ones: either an array for each, or one that can be each of them.

    With --no-search networks are made of shapes that are known to be good, reduced precisions and what
    the closed form proposes. The whole selection, with the same --results, goes on from there.

    With --finetune the networks that the front ends with are trained for 24 more epochs through their multipliers, on
    the same training images, and the choice is made among them; amhw train does it on a whole training set.
    """
    if dask is not None:
        refuse_without_effect(["workers"], "--dask names the workers")
    if kept is not None:
        refuse_without_effect(["no_search"], "it is for a front, and --kept is one multiplier")
    check_writable(out / "front.json")
    # These need torch, which a help text does not wait for.
    from amhw.network.trained_on import other_data
    from amhw.select.demands import Demands
    from amhw.select.picture import picture
    from amhw.select.request import Request, answer
    from amhw.select.selection import Selection
    from amhw.select.settings import DEFAULTS, WITHOUT_SEARCH
    from amhw.stages.problem import Problem

    demands = Demands(max_loss, max_area_ratio, max_delay_ratio, max_energy_ratio)
    request = Request(kept, demands, multipliers, finetune)
    technology = technology_named(tech)
    if max_energy_ratio is not None or multipliers > 1:
        technology.check_voltage()
    problem = Problem(*(None if path is None else str(path.resolve()) for path in (network, data)))
    loaded = problem.loaded  # refuses unusable files before any work
    structure = loaded.base.network
    chosen = shared.chosen_layers(layers, structure.layer_names, structure.convolutions)
    request.check_network(loaded.base, chosen)
    print_note(other_data(loaded.base.network, loaded.data))
    with (
        worker_failures(SynthesisError),
        results_store(results or out / "results.sqlite") as store,
        executor(workers, dask=dask) as pool,
        progress("statistics") as work,
    ):
        settings = WITHOUT_SEARCH if no_search else DEFAULTS
        known = len(store)

        def tell(front: Sequence["Solution"], exact: "Baseline") -> None:
            nonlocal known
            if front and len(store) > known:  # else the answer follows at once
                work.note(_front_so_far(front, exact))
            known = len(store)

        selection = Selection(problem, tech, store, pool, work.update, settings, so_far=tell, layers=chosen, seed=seed)
        found = answer(request, selection, out)
    if as_json:
        print_json(found.record.plain())
        return
    if found.chosen is None:
        click.echo(_front_page(found.solutions, found.yardstick))
        click.echo(f"networks are in {out}\n{found.front_file}")
        if multipliers > 1:
            click.echo(str(write_atomically(out / "front.svg", picture(found.solutions, chosen, tech))))
        print_next("report", out)
        return
    click.echo(_page(*found.chosen, found.yardstick, demands))
    if found.front_file is not None:
        click.echo(str(found.front_file))
    of_own = [] if data is None else ["--data", data]
    print_next("accuracy", "--network", found.yardstick.file(found.chosen[0]), *of_own)


def _front_so_far(front: Sequence["Solution"], exact: "Baseline") -> str:
    lines = [
        "front so far: points lost on training images; area and delay by one recipe, ÷ exact by the same",
        f"{'area':>6}  {'delay':>6}  {'loss':>6}  multiplier",
    ]
    for solution in sorted(front, key=lambda solution: solution.balanced.area_um2):
        netlist = solution.balanced
        lines.append(
            f"{exact.area_ratio(netlist):6.4f}  {exact.delay_ratio(netlist):6.3f}  "
            f"{100 * solution.training_loss:6.2f}  {solution.name}"
        )
    return "\n".join(lines)


def _front_page(solutions: list["Solution"], yardstick: "Yardstick") -> str:
    baseline = yardstick.baseline
    counted = any(solution.energies for solution in solutions)
    lines = [
        f"exact: {100 * yardstick.exact_accuracy:.2f} %, {baseline.smallest.area_um2:.0f} µm² (smallest), "
        f"{baseline.fastest.delay_ps:.0f} ps (fastest); all restructured",
        f"{'kept':>4}  {'area':>6}  {'delay':>6}  {'energy  ' if counted else ''}"
        f"{'loss, points':>14}  {'training':>8}  multiplier",
    ]
    for solution in sorted(solutions, key=lambda s: s.balanced.area_um2):
        assert solution.loss is not None
        chosen = solution.balanced
        plain = "  (reduced precision)" if solution.reduced_precision else ""
        energy = f"{solution.energy_ratio(chosen):6.4f}  " if counted else ""
        lines.append(
            f"{solution.kept:4d}  {baseline.area_ratio(chosen):6.4f}  {baseline.delay_ratio(chosen):6.3f}  {energy}"
            f"{100 * solution.loss.mean:6.2f} ± {100 * solution.loss.half_width:.2f}  "
            f"{100 * solution.training_loss:8.2f}  {solution.name}{plain}"
        )
        if (shared := solution.shared) is not None:
            area, delay = baseline.area_ratio(shared), baseline.delay_ratio(shared)
            figures = f"{area:6.4f}  {delay:6.3f}  {shared.energy_ratio:6.4f}"
            lines.append(f"{'':4}  {figures}  {'':24}  as one multiplier that can be each")
    return "\n".join(lines)


def _page(solution: "Solution", chosen: "Implementation", yardstick: "Yardstick", demands: "Demands") -> str:
    assert solution.loss is not None and solution.accuracy is not None
    baseline = yardstick.baseline
    lines = []
    for name in solution.names:
        lines += [name, "", parse(name).diagram()]
    errors = ", ".join(f"{layer} {100 * error:.1f} %" for layer, error in solution.fitted.errors.items())
    measured = f"{errors} of the pre-activations' deviation, training images" if errors else "none: fine-tuned"
    lines += [
        f"partial products  {solution.kept}",
        f"predicted error   {solution.predicted:.3f}",
        f"measured error    {measured}",
        f"accuracy          {100 * solution.accuracy:.2f} %, exact {100 * yardstick.exact_accuracy:.2f} % "
        "(test images)",
        f"loss              {100 * solution.loss.mean:.2f} ± {100 * solution.loss.half_width:.2f} points, "
        "paired 95 % interval; "
        f"{100 * solution.training_loss:.2f} on the training images that it was chosen by",
        f"area              {chosen.area_um2:.2f} µm², {baseline.area_ratio(chosen):.4f} of the smallest exact "
        f"({baseline.smallest.area_um2:.2f})",
        f"delay             {chosen.delay_ps:.1f} ps, {baseline.delay_ratio(chosen):.3f} of the fastest exact "
        f"({baseline.fastest.delay_ps:.1f})",
        f"netlist           {chosen.design}, recipe {chosen.recipe}, restructured (area and delay are of this one)",
    ]
    energy = solution.energy_ratio(chosen)
    if energy is not None:
        lines.append(f"energy            {energy:.4f} of the exact multiplier that takes the least, in these layers")
    if (shared := solution.shared) is not None:
        area, delay = baseline.area_ratio(shared), baseline.delay_ratio(shared)
        lines.append(
            f"in one array      area {area:.4f}, delay {delay:.3f}, energy {shared.energy_ratio:.4f}, of the one "
            "multiplier that can be each of them"
        )
    if demands:
        lines.append(f"asked for         {demands.met_in_words(demands.figures(solution, chosen, baseline))}")
    lines.append(f"network           {yardstick.file(solution)}")
    return "\n".join(lines)
