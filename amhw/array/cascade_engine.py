"""Verilog and manifest of an engine for a cascade, and the cascade that a manifest names."""

import hashlib
from collections.abc import Sequence

from amhw.array import files
from amhw.array.cascade import CascadeSchedule, check_alike
from amhw.array.config import ArrayConfig
from amhw.array.designs import config_of, multipliers_made_for
from amhw.array.engine import Engine
from amhw.array.program import Sizes
from amhw.array.schedule import Schedule
from amhw.manifests import CascadeEngineManifest, EngineNetwork, tools
from amhw.multiplier import Multiplier, parse
from amhw.network.quantised import QuantisedNetwork
from amhw.verilog import check_identifier


def cascade_on(
    networks: Sequence[QuantisedNetwork], threshold: int, *, rows: int, cols: int, depth: int, window: tuple[int, int]
) -> CascadeSchedule:
    """The cascade of two networks, each with the multipliers that it was made for, on one array that can be them all.

    Raises:
        Refusal: they do not fit each other or the array.
    """
    first, then = networks
    check_alike(first.network, then.network)
    multipliers = [multipliers_made_for(network) for network in networks]
    config = ArrayConfig.joining(
        [one for each in multipliers for one in each.values()],
        rows=rows,
        cols=cols,
        depth=depth,
        window=window,
        batch=1,
    )
    one, other = (_schedule(network, config, each) for network, each in zip(networks, multipliers, strict=True))
    return CascadeSchedule.of(one, other, threshold)


def cascade_of(manifest: CascadeEngineManifest, networks: Sequence[QuantisedNetwork]) -> CascadeSchedule:
    """The cascade of a manifest and its networks.

    Raises:
        Refusal: they do not fit each other.
    """
    config = config_of(manifest, 1)
    first, then = (
        Schedule(network, config, {layer: parse(name) for layer, name in each.multipliers.items()})
        for network, each in zip(networks, manifest.networks, strict=True)
    )
    return CascadeSchedule.of(first, then, manifest.threshold)


def default_name(cascade: CascadeSchedule) -> str:
    """An engine's name: its array, the threshold, and the starts of its networks' hashes."""
    config = cascade.config
    array = f"{config.rows}x{config.cols}_d{config.depth}_{config.multiplier.name}"
    first, then = (one.network.sha256[:8] for one in (cascade.first, cascade.then))
    return f"cascade_{array}_t{cascade.threshold}_{first}_{then}"


def cascade_engine(cascade: CascadeSchedule, name: str | None = None) -> tuple[str, CascadeEngineManifest]:
    """Verilog and manifest of an `Engine` that runs a cascade; without `name` it has its `default_name`.

    Raises:
        Refusal: `name` is no identifier.
    """
    config, network = cascade.config, cascade.network.network
    name = name or default_name(cascade)
    check_identifier(name)
    core = Engine(Sizes((cascade,)))
    text, ports = files.verilog(core, core.array.elements, name)
    first, then = (one.network.network.name for one in (cascade.first, cascade.then))
    what = f"{first} twice" if first == then else f"{first} and {then}"
    networks = [
        EngineNetwork(
            f"{name}_{which}.npz",
            one.network.sha256,
            {layer: multiplier.name for layer, multiplier in one.multipliers.items()},
            one.latency,
        )
        for which, one in (("first", cascade.first), ("then", cascade.then))
    ]
    manifest = CascadeEngineManifest(
        name=name,
        title=f"{what} on a {config.rows} x {config.cols} weight-stationary systolic array",
        multiplier=config.multiplier.name,
        masks=tuple(mask.name for mask in config.masks),
        networks=(networks[0], networks[1]),
        threshold=cascade.threshold,
        image_as_is=cascade.first.image_as_is,
        input_shape=network.input_shape,
        classes=network.classes,
        rows=config.rows,
        cols=config.cols,
        depth=config.depth,
        window=config.window,
        requantisers=config.requantisers,
        sums=config.sums,
        sum_width=core.sum_width,
        sum_unit=1 << cascade.widths.shift,
        elements=tuple(sorted({element.name for element in core.array.elements})),
        memory_map=core.memory_map,
        memory_bits=core.memory_bits,
        ports=ports,
        verilog_sha256=hashlib.sha256(text.encode()).hexdigest(),
        tools=tools(),
    )
    return text, manifest


def _schedule(network: QuantisedNetwork, config: ArrayConfig, multipliers: dict[str, Multiplier]) -> Schedule:
    return Schedule(network, config, multipliers if config.masks else {})
