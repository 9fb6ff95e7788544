"""Networks that are known by name: each file of this folder is one, its `NETWORK`."""

from importlib import import_module
from pathlib import Path

from amhw.network.network import Network
from amhw.refusal import Refusal


def model_names() -> tuple[str, ...]:
    """The names of the networks."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py")))


def model_named(name: str) -> Network:
    """The network of this name, without weights.

    Raises:
        Refusal: there is none.
    """
    if name not in model_names():
        elsewhere = "; amhw import-network reads ONNX files and torch modules" if set(name) & set(".:/") else ""
        raise Refusal(f"no network is called {name!r}; known: {', '.join(model_names())}{elsewhere}")
    network: Network = import_module(f"{__name__}.{name}").NETWORK
    return network
