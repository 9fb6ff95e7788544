"""Packages that only one option needs, and that an installation may lack: the extras in pyproject.toml."""

from importlib import import_module
from types import ModuleType

from amhw.refusal import Refusal


def optional(module: str, extra: str, option: str) -> ModuleType:
    """Import a module that comes with an extra.

    >>> optional("no_such_package", "dask", "--dask")
    Traceback (most recent call last):
    amhw.refusal.Refusal: --dask needs the package no_such_package; install amhw[dask]

    Args:
        module: its full name; the part before the first dot is the package.
        extra: that brings it.
        option: that asks for it.

    Raises:
        Refusal: the package is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        package = module.partition(".")[0]
        if missing.name != package:
            raise
        raise Refusal(f"{option} needs the package {package}; install amhw[{extra}]") from None
