"""The table of docs/fpga.md, from manifests of amhw fpga: python scripts/fpga_table.py build/*.json

A row for each manifest: what the design takes, how fast it is, and the accuracy of its network with its multipliers on
the MNIST test images.
"""

from pathlib import Path

import click

from amhw import ProductTable, parse
from amhw.commands.base import Command
from amhw.datasets import mnist_test
from amhw.fpga.report import FpgaManifest
from amhw.network.inference import Inference
from amhw.network.quantised import QuantisedNetwork

COLUMNS = (
    "multiplier | array | device | accuracy | LUTs | block RAMs | DSPs | Fmax, MHz | clocks an image | images a second"
)


@click.command(cls=Command, epilog="Example: python scripts/fpga_table.py build/exact.json build/eight.json")
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
def main(manifests: tuple[Path, ...]) -> None:
    """Rows of Markdown; images a second at the clock of the bitstream."""
    click.echo(f"| {COLUMNS} |\n|{'---|' * (COLUMNS.count('|') + 1)}")
    images = mnist_test()
    for path in manifests:
        one = FpgaManifest.read(path)
        network = QuantisedNetwork.load(path.with_name(one.network))
        names = dict.fromkeys(network.layer_names, one.multiplier) | one.multipliers
        tables = {layer: ProductTable.of(parse(name)) for layer, name in names.items()}
        correct = (Inference(network, tables).logits(images.images).argmax(axis=1) == images.labels).mean()
        cells = [
            f"`{one.multiplier}`",
            f"{one.rows} × {one.cols}",
            one.device,
            f"{correct:.2%}",
            *(f"{each.used:,} of {each.available:,}" for each in (one.luts, one.block_rams, one.dsps)),
            f"{one.fmax_mhz:.1f}",
            f"{one.clocks_per_image:,.0f}; {one.latency:,} for a single one",
            f"{one.images_per_second:,.0f} at {one.clock_mhz} MHz; {one.images_per_second_serial:,.0f} over the line",
        ]
        click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
