"""Where maps lie in the activation memory, and for how long."""

from dataclasses import dataclass, field

from amhw.array.config import ArrayConfig
from amhw.network.layers import Shape


@dataclass(frozen=True)
class Layout:
    """How what leaves a layer is laid out: as a map [C, H, W], or as the words of a vector, one a bank.

    Attributes:
        channels: of the map, those that fill the last word included where it is a vector.
        height, width: of the map; the window's where it is a vector.
        planes: words of a pixel.
        vector: how many outputs it has, or 0.
    """

    channels: int
    height: int
    width: int
    planes: int
    vector: int = 0

    @classmethod
    def of(cls, shape: Shape, config: ArrayConfig, words: int = 0) -> "Layout":
        """For what has this shape; `words` are written for each pixel of it, where more than there are channels."""
        if len(shape) == 3:
            planes = max(words, -(-shape[0] // config.requantisers))
            return cls(shape[0], shape[1], shape[2], planes)
        words = max(words, -(-shape[0] // config.requantisers))
        planes = -(-words // config.taps)
        used = -(-shape[0] // (config.requantisers * config.taps)) * config.requantisers
        return cls(used, *config.window, planes, shape[0])

    def row_pitch(self, config: ArrayConfig) -> int:
        """Addresses from one row of windows to the next."""
        return -(-self.width // config.window[1])

    def pitch(self, config: ArrayConfig) -> int:
        """Addresses of a plane."""
        return -(-self.height // config.window[0]) * self.row_pitch(config)

    def size(self, config: ArrayConfig) -> int:
        """Addresses of all planes."""
        return self.planes * self.pitch(config)


@dataclass
class Space:
    """First fit: the lowest addresses that nothing uses from operation `since` to operation `until`."""

    taken: list[tuple[int, int, int, int]] = field(default_factory=list)
    size: int = 0

    def place(self, size: int, since: int, until: int) -> int:
        """The first address of `size` that are free all this time."""
        alive = sorted((low, high) for low, high, first, last in self.taken if first <= until and since <= last)
        base = 0
        for low, high in alive:
            if base + size <= low:
                break
            base = max(base, high)
        self.taken.append((base, base + size, since, until))
        self.size = max(self.size, base + size)
        return base
