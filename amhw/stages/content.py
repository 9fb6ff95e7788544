"""How what the stages work on reaches another process: networks as text, images and technologies by where they lie.

What lies somewhere may change there. The key holds the hash of what was found when the task was made, and a worker
that finds something else refuses.
"""

import base64
import functools
import zlib

from amhw.datasets import DataSet, data_source
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.synth.store import technology_named
from amhw.synth.technology import Technology


def packed(network: QuantisedNetwork) -> str:
    """A network as text."""
    return base64.b64encode(zlib.compress(network.to_bytes(), 9)).decode()


@functools.lru_cache(maxsize=256)
def unpacked(text: str) -> QuantisedNetwork:
    """The inverse of `packed`."""
    return QuantisedNetwork.of_bytes(zlib.decompress(base64.b64decode(text)), "a stored network")


@functools.cache
def images_at(path: str | None, sha256: str) -> DataSet:
    """The test images of the data set at a path; None is the packaged MNIST.

    Raises:
        Refusal: they are not those with this hash any more.
    """
    found = data_source(path).test
    check_unchanged(f"the test images of {path}", found.sha256, sha256)
    return found


def technology_at(name: str, sha256: str) -> Technology:
    """A technology by its name or as a Liberty file.

    Raises:
        Refusal: it is not the one with this hash any more.
    """
    found = technology_named(name)
    check_unchanged(name, found.sha256, sha256)
    return found


def check_unchanged(what: str, found: str, expected: str) -> None:
    """Refuse what has changed on disk since its task was made.

    Raises:
        Refusal: the hashes differ.
    """
    if found != expected:
        raise Refusal(f"{what} changed while it was used (SHA-256 {found[:12]}…, before {expected[:12]}…); run again")
