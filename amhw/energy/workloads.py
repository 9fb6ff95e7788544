"""Designs whose energy is measured, and their stimuli: a multiplier, anyone's Verilog, or a systolic array."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amhw.array.designs import scheduled
from amhw.array.mesh import SystolicArray
from amhw.array.modes import Mode, Rows
from amhw.array.plan import ConvPlan
from amhw.array.tiling import DATAFLOWS
from amhw.array.widths import Widths
from amhw.hdl.source import Source
from amhw.manifests import (
    CascadeEngineManifest,
    EngineManifest,
    ImportManifest,
    MatrixProductManifest,
    MultiplierManifest,
    NetworkEngineManifest,
    read_manifest,
)
from amhw.multiplier import parse
from amhw.neighbour import known_of
from amhw.network.inference import check_operands
from amhw.network.models.lenet5 import network as shipped_network
from amhw.network.models.lenet5 import network_for
from amhw.network.quantised import Operands, QuantisedNetwork
from amhw.network.trained_on import Meeting, own_data
from amhw.refusal import Refusal
from amhw.scoring import own_tables
from amhw.stimulus import (
    OPERATIONS,
    SEED,
    TRACE_IMAGES,
    Ports,
    Stimulus,
    check_fits,
    layer_trace,
    operand_streams,
    random_bits,
    read_trace,
    tiles,
    uniform_trace,
)
from amhw.synth import Expected, Synthesiser, SynthesisResult
from amhw.synth.netlist import Netlist
from amhw.table import ProductTable
from amhw.verilog import Design, emit

Codes = tuple[NDArray[Any], NDArray[Any]]
"""Activations [images, positions, taps] and weights [outputs, taps]."""

CLOCKS = 1 << 12
"""Clock cycles in a trace of a design with registers."""


class MultiplierWork:
    """A multiplier by its name, on uniform operands and on a layer's."""

    apart = False
    elements: frozenset[str] = frozenset()

    def __init__(
        self,
        design: Design,
        layers: Sequence[str],
        network: QuantisedNetwork | None,
        data: Path | None,
        clocks: int | None,
    ) -> None:
        self.design, self.clocks = design, clocks or OPERATIONS
        self.table = ProductTable.of(design.multiplier)
        network = network or network_for(self.table, layers)
        for layer in layers:
            check_operands(network[layer], self.table)
        self.network_sha256: str | None = network.sha256
        source = own_data(network.network, data)
        self.meeting: Meeting | None = Meeting(network.network, source)
        images, tables = source.representative, own_tables(network)
        self.real = {
            f"{source.name} {layer}": layer_trace(network, layer, images, self.clocks, tables) for layer in layers
        }

    def synthesised(self, synthesiser: Synthesiser) -> SynthesisResult:
        expected = Expected(self.table.products)
        return synthesiser.submit(self.design.verilog(), self.design.name, expected).result()

    def stimuli(self, netlist: Netlist, clock: str | None) -> dict[str, Stimulus]:
        uniform = uniform_trace(self.table.width_a, self.table.width_b, self.clocks)
        return {given: Stimulus(dict(trace)) for given, trace in {"uniform": uniform, **self.real}.items()}


class VerilogWork:
    """A Verilog file, with a trace, a layer's operands, constants or random bits at its inputs."""

    elements: frozenset[str] = frozenset()

    def __init__(
        self,
        path: Path,
        top: str | None,
        layers: Sequence[str] | None,
        network: QuantisedNetwork | None,
        data: Path | None,
        trace: Path | None,
        operands: str | None,
        hold: Sequence[str],
        clocks: int | None,
    ) -> None:
        self.path, self.top, self.network, self.clocks = path, top, network, clocks
        self.layers = layers or ((network or shipped_network()).network.busiest,)
        self.data_path = data
        self.source = Source.of_files([path])
        self.expected, self.provable, self.array = known_of(path)
        self.trace = trace
        self.given: Ports = {} if trace is None else read_trace(trace)
        self.traced = len(next(iter(self.given.values()))) if self.given else None
        """Clocks in the trace."""
        if clocks is not None and self.traced is not None and clocks > self.traced:
            raise Refusal(f"--clocks {clocks}: {trace} has {self.traced}")
        held = [_held(each) for each in hold]
        self.held = dict(held)
        self.operands = _pair(operands)
        named = Counter([*self.given, *(port for port, _ in held), *self.operands])
        twice = sorted(port for port, times in named.items() if times > 1)
        if twice:
            raise Refusal(f"{', '.join(twice)} given twice: by --trace, --operands or --hold")
        if self.expected is not None and not operands and not self.given:
            self.operands = (self.expected.a, self.expected.b)
        for option, value in (("--layers", layers), ("--network", network), ("--data", data)):
            if value is not None and not self.operands:
                raise Refusal(f"{option} needs --operands: no input of {path} sees a layer's operands")
        if self.operands:
            for layer in self.layers:
                (network or shipped_network())[layer]  # an unknown one is refused before synthesis
        self.apart = self.array is not None
        self.network_sha256: str | None = None
        self.meeting: Meeting | None = None

    def synthesised(self, synthesiser: Synthesiser) -> SynthesisResult:
        return synthesiser.submit(
            self.source,
            self.top,
            self.expected if self.top is None else None,
            prove=self.provable,
            hierarchical=self.apart,
        ).result()

    def stimuli(self, netlist: Netlist, clock: str | None) -> dict[str, Stimulus]:
        widths = {name: len(nets) for name, nets in netlist.inputs.items() if name != clock}
        if not widths:
            raise Refusal(f"{netlist.top} has no inputs" + (f" but its clock {clock}" if clock else ""))
        check_fits(self.given, widths, str(self.trace))
        clocks = self.clocks or self.traced or (CLOCKS if clock else OPERATIONS)
        known: Ports = {name: values[:clocks] for name, values in self.given.items()}
        known |= self._constant(widths, clocks)
        free = {name: width for name, width in widths.items() if name not in {*known, *self.operands}}
        label = "trace" if self.given else "uniform"
        if not self.operands:
            return {label: Stimulus(known | random_bits(free, clocks))}
        check_fits(dict.fromkeys(self.operands, np.zeros(1, dtype=np.int64)), widths, "--operands")
        a, b = self.operands
        network = self.network or shipped_network(dict.fromkeys(self.layers, Operands(widths[a], widths[b])))
        for layer in self.layers:
            taken = network[layer].operands
            if (taken.activation_width, taken.weight_width) != (widths[a], widths[b]):
                raise Refusal(
                    f"{a}, {b} have {widths[a]} and {widths[b]} bits, but {layer} of this network is {taken.name}"
                )
        self.network_sha256 = network.sha256
        source = own_data(network.network, self.data_path)
        self.meeting = Meeting(network.network, source)
        images, tables = source.representative, own_tables(network)
        traces = {"uniform": uniform_trace(widths[a], widths[b], clocks)}
        traces |= {
            f"{source.name} {layer}": layer_trace(network, layer, images, clocks, tables) for layer in self.layers
        }
        others = known | random_bits(free, clocks)
        return {given: Stimulus(others | {a: codes["a"], b: codes["b"]}) for given, codes in traces.items()}

    def _constant(self, widths: Mapping[str, int], clocks: int) -> Ports:
        ports = {name: np.full(clocks, value, dtype=object) for name, value in self.held.items()}
        check_fits(ports, widths, "--hold")
        return ports


class ArrayWork:
    """The systolic array in a file that `amhw array` wrote: the mesh, without what feeds it."""

    apart = True

    def __init__(
        self,
        path: Path,
        layers: Sequence[str],
        network: QuantisedNetwork | None,
        data: Path | None,
        clocks: int | None,
    ) -> None:
        manifest = read_manifest(path.with_suffix(".json"))
        if isinstance(manifest, MultiplierManifest | ImportManifest):
            raise Refusal(f"{path} is no array but what its manifest calls {manifest.kind!r}")
        if isinstance(manifest, CascadeEngineManifest):
            raise Refusal(
                f"{path} is an engine of two networks; energy is of an array with one: amhw cascade counts both"
            )
        if isinstance(manifest, MatrixProductManifest) and manifest.dataflow != DATAFLOWS[0]:
            raise Refusal(f"{path} is {manifest.dataflow}; choose a module with --top, and --trace, instead")
        multiplier = parse(manifest.multiplier)
        self.table = ProductTable.of(multiplier)
        network = network or network_for(self.table, layers)
        for layer in layers:
            check_operands(network[layer], self.table)
        self.clocks = clocks or CLOCKS
        self.network_sha256: str | None = network.sha256
        self.shape: tuple[int, int, int] = (manifest.rows, manifest.cols, manifest.depth)
        self.widths = Widths.of(self.table)
        gates: tuple[Rows, ...] = ()
        tables = own_tables(network)
        modes: dict[str, Mode] = {}
        if isinstance(manifest, EngineManifest):
            self.widths = ConvPlan(network, self.table, *self.shape).widths
        elif isinstance(manifest, NetworkEngineManifest):
            schedule = scheduled(manifest, network)
            config = schedule.config
            self.widths, gates, tables = schedule.widths, config.gates, schedule.tables
            modes = {layer: config.mode(schedule.multiplier(layer)) for layer in layers}
        self.name = f"{manifest.name}_array"
        self.mesh = SystolicArray(multiplier, self.widths, *self.shape, gates)
        kinds = {element.name: element for element in self.mesh.elements}
        self.elements = frozenset(kinds)
        self.text = "\n".join(emit(each, module) for module, each in [*kinds.items(), (self.name, self.mesh)])
        source = own_data(network.network, data)
        self.meeting: Meeting | None = Meeting(network.network, source)
        self.operands: dict[str, tuple[Codes, int]] = {}
        """What the mesh multiplies and which gates of its elements are open meanwhile, by what it is called: of each
        layer, and random in its shape."""
        for layer in layers:
            random = np.random.default_rng(SEED)
            real = operand_streams(network, layer, source.representative, TRACE_IMAGES, random, tables)
            most = network[layer].operands.activation_max
            noise = (
                random.integers(0, most + 1, real[0].shape),
                random.integers(0, 1 << self.table.width_b, real[1].shape),
            )
            label = "uniform" if len(layers) == 1 else f"uniform {layer}"
            for given, codes in ((label, noise), (f"{source.name} {layer}", real)):
                self.operands[given] = _as_the_layer_has_them(codes, modes.get(layer))

    def synthesised(self, synthesiser: Synthesiser) -> SynthesisResult:
        return synthesiser.submit(self.text, self.name, prove=True, hierarchical=True).result()

    def stimuli(self, netlist: Netlist, clock: str | None) -> dict[str, Stimulus]:
        found = {}
        for given, ((activations, weights), is_open) in self.operands.items():
            stimulus = tiles(activations, weights, self.widths, self.shape, self.clocks)
            length = len(stimulus.ports["swap"])
            still = {name: np.zeros(length, dtype=np.uint8) for name in netlist.inputs if name != clock}
            if self.mesh.gates:
                still["is_open"] = np.full(length, is_open, dtype=object)
            found[given] = Stimulus(still | stimulus.ports, stimulus.skip, stimulus.products)
        return found


def _as_the_layer_has_them(codes: Codes, mode: Mode | None) -> tuple[Codes, int]:
    """Codes without the bits that a layer's multiplier leaves out, and the gates that it has open.

    Without a mode the multiplier of the array is that of the layer.
    """
    if mode is None:
        return codes, 0
    activations, weights = codes
    return (activations & mode.activation_bits, weights & mode.weight_bits), mode.gates


Work = MultiplierWork | VerilogWork | ArrayWork


def network_of_array(verilog: Path) -> QuantisedNetwork | None:
    """The network that the array in a file was made for; None for a matrix product.

    Raises:
        Refusal: it is missing or damaged.
    """
    manifest = read_manifest(verilog.with_suffix(".json"))
    if not isinstance(manifest, EngineManifest | NetworkEngineManifest):
        return None
    return QuantisedNetwork.load(verilog.with_name(manifest.network))


def _held(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    try:
        return name, int(value, 0)
    except ValueError:
        raise Refusal(f"--hold {text!r} is no PORT=VALUE, such as rst=0") from None


def _pair(text: str | None) -> tuple[str, ...]:
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    if text is not None and (len(set(names)) != 2 or not all(names)):
        raise Refusal(f"--operands {text!r} are no two inputs, such as a,b")
    return names
