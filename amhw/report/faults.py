"""What a fault campaign has to show: which bits of which layers cost accuracy."""

from pathlib import Path

from amhw.faults.picture import heat_map
from amhw.faults.summary import FaultRun, Figures
from amhw.report import page
from amhw.report.source import Campaign, Details, PageRow, ReportSource

KERNELS = "kernels.svg"
"""The picture that lies beside a campaign's record, if it had a convolution's weights."""

HEADINGS = ("number", "changed", "harm", "silent", "critical", "worst")


def fault_source(file: Path, run: FaultRun) -> ReportSource:
    """The source in `faults.json`."""
    subject = run.subject
    first, end = subject.images
    provenance = {
        "fault campaign": file.name,
        "network": f"{subject.network}, SHA-256 {subject.network_sha256}",
        "images": f"{first} to {end - 1} of {_data(run)}, SHA-256 {subject.data[1]}",
        **{
            f"multiplier of {layer}": f"{name}, table {digest}" for layer, (name, digest) in subject.multipliers.items()
        },
    }
    kernels = file.parent / KERNELS
    picture = kernels.read_bytes() if kernels.is_file() else None
    return ReportSource("Fault campaign", [], [], provenance, campaign=Campaign(run, picture))


def fault_section(campaign: Campaign, number: int) -> str:
    """Pictures and tables of a campaign, the `number`-th of the page."""
    run, parts = campaign.run, []
    subject = run.subject
    first, end = subject.images
    multipliers = ", ".join(f"{name} in {layer}" for layer, (name, _) in subject.multipliers.items())
    parts.append(
        page.paragraph(
            f"{subject.network} with {multipliers or 'exact products'}; images {first} to {end - 1} of "
            f"{_data(run)}, of which {run.correct / run.images:.2%} are right without a fault. Each fault is in "
            "one word of a memory, for good. Changed: trials (a fault and an image) whose class is another than it is "
            "without the fault. Harm: the mean loss of accuracy. Silent: trials with every logit unchanged. "
            "Critical: faults that change the class of one image at least. Worst: the greatest loss of accuracy by one "
            "fault. A row unfolds to its bits, of which bit 0 is worth least."
        )
    )
    for model in run.totals:
        parts.append(page.heading(f"{model}: mean loss of accuracy by bit and layer"))
        parts.append(page.picture(heat_map(run, model).encode(), f"bit by layer, {model}"))
        if campaign.kernels is not None and model == next(iter(run.totals)):
            parts.append(page.heading(f"{model}: each weight of each kernel"))
            parts.append(page.picture(campaign.kernels, "the loss of accuracy by each weight's worst bit"))
        places = dict.fromkeys((cell.layer, cell.kind) for cell in run.cells if cell.model == model)
        rows = [_row(run, model, layer, kind) for layer, kind in places]
        rows.append(PageRow(("all", *_cells(run.totals[model])), "all", model))
        parts.append(page.designs_table(f"faults{number}", ("faults of", *HEADINGS), rows, {}))
    return page.section(f"Faults in the memories of {subject.network}", *parts)


def _data(run: FaultRun) -> str:
    """What the images are taken from; the record's name says which, too."""
    return run.subject.data[0].partition("[")[0]


def _row(run: FaultRun, model: str, layer: str, kind: str) -> PageRow:
    name = f"{layer} {kind}"
    bits = sorted({cell.bit for cell in run.cells if (cell.model, cell.layer, cell.kind) == (model, layer, kind)})
    lines = [(bit, *_cells(run.figures(model, layer, kind, bit))) for bit in bits]
    return PageRow((name, *_cells(run.figures(model, layer, kind))), name, model, Details(("bit", *HEADINGS), lines))


def _cells(figures: Figures) -> tuple[str, ...]:
    shares = (figures.changed, figures.harm, figures.silent, figures.critical)
    return (str(figures.faults), *(f"{share:.3%}" for share in shares), f"{figures.worst:.2%}")
