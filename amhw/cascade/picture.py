"""Cascades and single networks: accuracy lost against energy, as SVG."""

from matplotlib.figure import Figure

from amhw.cascade.record import CascadeRun
from amhw.svg import svg


def picture(run: CascadeRun) -> str:
    """Test-image losses in points (linear near zero, then logarithmic) against energy, that of the layers with
    multipliers as a share of the exact one's."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    ax = figure.subplots()
    exact = next(each for each in run.networks if not each.multipliers)
    others = [each for each in run.networks if each.multipliers]
    ax.scatter(
        [each.approximate_energy_ratio for each in others],
        [100 * (exact.accuracy - each.accuracy) for each in others],
        marker="x",
        color="tab:gray",
        label="one network, approximate multipliers",
    )
    ax.scatter([1], [0], marker="s", color="black", label="exact network", zorder=3)
    both = [each for each in run.cascades if each.threshold]
    ax.errorbar(
        [each.approximate_energy_ratio for each in both],
        [each.loss_points for each in both],
        yerr=[(each.loss_interval[1] - each.loss_interval[0]) / 2 for each in both],
        fmt="o",
        color="tab:blue",
        ecolor="lightsteelblue",
        markersize=4,
        label="cascade, with its paired 95 % interval",
    )
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=0.1, linscale=0.7)
    ax.set_yticks([-0.1, 0, 0.1, 1, 10, 100], ["−0.1", "0", "0.1", "1", "10", "100"])
    lowest = min([-0.15, *(each.loss_interval[0] for each in both)])
    ax.set_ylim(lowest, 1.3 * max([0.2, *(100 * (exact.accuracy - each.accuracy) for each in others)]))
    ax.set(
        xlabel=f"energy of an image's multiplications in {', '.join(run.layers)}, ÷ exact",
        ylabel="accuracy lost on test images, points",
        title=f"{len(run.networks)} networks, {run.images} test images, {run.technology}",
    )
    ax.grid(alpha=0.3)
    ax.legend()
    return svg(figure)
