"""What `amhw cascade` found, as a document."""

from dataclasses import dataclass
from typing import ClassVar

from amhw.documents import Amount, Count, Document, Name, Record, Share


@dataclass(frozen=True)
class CascadedNetwork(Record):
    """A network that cascades are made of.

    Attributes:
        name: of its file, or ``exact``.
        sha256: of the network.
        multipliers: by layer; the other layers multiply exactly.
        energy_nj: of the multiplications of an image, all layers.
        energy_ratio: to the exact network's.
        approximate_energy_ratio: the same of the layers alone in which some network of the run has a multiplier.
        accuracy: on test images.
    """

    name: Name
    sha256: Name
    multipliers: dict[str, str]
    energy_nj: Amount
    energy_ratio: Amount
    approximate_energy_ratio: Amount
    accuracy: Share


@dataclass(frozen=True)
class MeasuredCascade(Record):
    """A cascade on the test images; chosen on moved and distorted training images.

    Attributes:
        cheap, better: names of networks; the same one alone has threshold 0.
        threshold: images with a smaller margin in the cheap network are classified again.
        judged_loss_points: on the images that it was chosen on, with this threshold or the worst of the greater ones.
        again: share of test images that are classified again; an array takes 1 + `again` times the clocks.
        accuracy: on test images.
        loss_points, loss_interval: points lost against the exact network on the same images, and the paired 95 %
            interval.
        energy_ratio: of all multiplications of an image, on average, to the exact network's.
        approximate_energy_ratio: as in `CascadedNetwork`.
    """

    cheap: Name
    better: Name
    threshold: Count
    judged_loss_points: float
    again: Share
    accuracy: Share
    loss_points: float
    loss_interval: tuple[float, float]
    energy_ratio: Amount
    approximate_energy_ratio: Amount


@dataclass(frozen=True)
class CascadeRun(Document):
    """All of a run.

    Attributes:
        technology: of the energies.
        layers: in which some network has a multiplier.
        exact_design: the exact multiplier with the least energy, the yardstick.
        test_images: SHA-256 of the data set's test images.
        images, judging: how many test images, and images to choose by, there are.
        networks: that cascades are made of.
        cascades: the cheapest for each of several losses, or the one that was asked for.
    """

    kind: ClassVar[str] = "cascades"
    schema: ClassVar[int] = 1
    called: ClassVar[str] = "record of cascades"
    written_by: ClassVar[str] = "amhw cascade"

    technology: Name
    layers: list[str]
    exact_design: Name
    test_images: Name
    images: Count
    judging: Count
    networks: list[CascadedNetwork]
    cascades: list[MeasuredCascade]
