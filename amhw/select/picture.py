"""One multiplier for all layers and several: accuracy lost against energy, as SVG."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from amhw.select.solutions import Solution
from amhw.svg import svg


def picture(solutions: Sequence[Solution], layers: Sequence[str], technology: str) -> str:
    """Test-image losses in points (linear near zero, then logarithmic) against the energy of an image's multiplications
    in `layers`, ÷ that of the exact multiplier that takes the least; of the netlists with the least area × delay."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    ax = figure.subplots()
    highest = 0.2
    for several, marker, colour, label in (
        (False, "x", "tab:gray", "one multiplier for all layers"),
        (True, "o", "tab:blue", "several multipliers"),
    ):
        points = [
            (energy, 100 * solution.loss.mean, 100 * solution.loss.half_width)
            for solution in solutions
            if (len(solution.names) > 1) == several and solution.loss is not None
            for energy in [solution.energy_ratio(solution.balanced)]
            if energy is not None
        ]
        if points:
            energies, losses, widths = zip(*points, strict=True)
            highest = max(highest, *losses)
            ax.errorbar(
                energies, losses, yerr=widths, fmt=marker, color=colour, ecolor="lightgray", markersize=4, label=label
            )
    ax.axhline(0, color="black", linewidth=0.5)
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=0.1, linscale=0.7)
    ax.set_yticks([-0.1, 0, 0.1, 1, 10, 100], ["−0.1", "0", "0.1", "1", "10", "100"])
    ax.set_ylim(-0.3, 1.3 * highest)
    ax.set(
        xlabel=f"energy of an image's multiplications in {', '.join(layers)}, ÷ exact",
        ylabel="accuracy lost on test images, points",
        title=f"Selected multipliers, {technology}",
    )
    ax.grid(alpha=0.3)
    ax.legend()
    return svg(figure)
