"""Whether a network meets the data that it was trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amhw.datasets import DataSource, data_source
from amhw.network.network import Network
from amhw.refusal import Refusal


@dataclass(frozen=True)
class Meeting:
    """A network, and the data set whose images it sees."""

    network: Network
    source: DataSource

    @property
    def note(self) -> str | None:
        """`other_data` of the two."""
        return other_data(self.network, self.source)

    def record(self) -> dict[str, Any]:
        """What the network was trained on, and what it sees, for JSON."""
        on = self.network.trained_on
        return {"trained_on": None if on is None else vars(on), "data": vars(self.source.identity)}


def own_data(network: Network, path: Path | str | None = None) -> DataSource:
    """The data set that belongs to a network: the one at `path`, or the packaged MNIST if it was trained on that.

    Raises:
        Refusal: no path is given and the network was trained on something else, or does not say on what; or the images
            have another shape than it takes.
    """
    source = data_source(path)
    if path is None and (network.trained_on is None or network.trained_on.sha256 != source.identity.sha256):
        on = (
            "does not say what it was trained on"
            if network.trained_on is None
            else f"was trained on {network.trained_on}"
        )
        raise Refusal(f"{network.name} {on}: give that data set as --data")
    network.check_images(source.representative)
    return source


def other_data(network: Network, source: DataSource) -> str | None:
    """A line for the user unless these data are known to be what the network was trained on; None if they are."""
    if network.trained_on is None or network.trained_on.sha256 == source.identity.sha256:
        return None
    said = f"{network.name} was trained on {network.trained_on}"
    if not source.has_training:
        return f"{said}; {source.identity} has no training images that could tell whether it is the same data set"
    return f"{said}; these images are of {source.identity}"
