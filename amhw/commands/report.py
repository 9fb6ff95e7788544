"""The command `amhw report`: studies, selections and fault campaigns become one HTML page, pictures and tables."""

import sys
from pathlib import Path

import click

from amhw.commands import shared
from amhw.commands.base import Command, print_json
from amhw.commands.progress import progress


@click.command(cls=Command, epilog="Example: amhw report study select")
@click.argument("sources", metavar="[FOLDER]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--peers", type=click.Path(path_type=Path), metavar="FILE", help="CSV of published circuits; see docs/study.md."
)
@shared.out()
@click.option("--parquet", is_flag=True, help="The points as Parquet too; needs the extra amhw[parquet].")
@shared.json()
def command(sources: tuple[Path, ...], peers: Path | None, out: Path | None, parquet: bool, as_json: bool) -> None:
    """Write one HTML page that opens without a network, its fronts as PNG and SVG, its points as CSV.

    Each FOLDER is where amhw study, amhw select or amhw faults wrote (default: study), or a file that amhw select
    --json printed; fault campaigns in its sub-folders are shown, too. Several are drawn on the same axes where
    technology and test images are the same. The files go into the first FOLDER if no --out is given.
    """
    # This needs torch and the libraries that draw, which a help text does not wait for.
    from amhw.report.files import write

    with progress("drawing"):
        written = write(sources or (Path("study"),), peers, out, parquet=parquet)
    if as_json:
        print_json({"page": str(written[-1]), "files": list(map(str, written))})
    else:
        click.echo("\n".join(map(str, written)))
        if sys.stderr.isatty():
            click.echo(f"next: open {written[-1]} in a browser", err=True)
