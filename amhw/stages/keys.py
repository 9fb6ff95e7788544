"""The one place where keys are made.

A stored result is found again only if nothing that could change it has changed. A key is the hash of

* the stage's inputs, by content: a table, a network, a technology, a set of images by its SHA-256, a text by its own;
* the source of the modules that the stage runs (`amhw.stages.source`);
* the versions of the packages that those import and of the programs that they call.

The folder, the machine and who asks are not in it. Formatting a file of ours changes keys like any other edit: a result
is then computed once more, which costs time and never truth.
"""

import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

from amhw.results import R_co, Task
from amhw.stages.source import SourceTree

_BOOKKEEPING = ("amhw.documents", "amhw.results", "amhw.stages.keys", "amhw.stages.source")
"""What stores and finds results, and computes none."""


@dataclass(frozen=True)
class Stage(Generic[R_co]):
    """One kind of computation.

    Attributes:
        name: its own, and that of its results in the store.
        record: what it gives.
        function: what computes it; the source of its module and of what that runs is in the key.
        runs: more modules that it runs: in other processes, or found by name.
        given: modules that it imports but whose work is among the inputs, by its hash: they are not in the key.
        tools: packages that it calls and does not import.
    """

    name: str
    record: type[R_co]
    function: Callable[..., R_co]
    runs: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()

    def task(self, inputs: Mapping[str, Any], *arguments: Any) -> Task[R_co]:
        """The task that computes it.

        Args:
            inputs: everything that the result depends on beside source and versions, ready for JSON.
            arguments: what `function` is called with.
        """
        identity = {"stage": self.name, **inputs, "source": self._digest, "versions": self._versions}
        return Task(identity, self.record, self.function, arguments)

    def modules(self, source: SourceTree) -> tuple[str, ...]:
        """The modules whose source is in the key."""
        return source.closure([self.function.__module__, *self.runs], (*self.given, *_BOOKKEEPING))

    def packages(self, source: SourceTree) -> tuple[str, ...]:
        """The packages whose versions are in the key."""
        return tuple(sorted({*source.packages(self.modules(source)), *self.tools}))

    @cached_property
    def _digest(self) -> str:
        return SourceTree.own().digest(self.modules(SourceTree.own()))

    @cached_property
    def _versions(self) -> dict[str, str]:
        return {package: version_of(package) for package in self.packages(SourceTree.own())}


def digest_of(text: str) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def version_of(package: str) -> str:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
