"""The campaign's arithmetic against the gateware: faults written into an engine's memories through its configuration
port, in a compiled simulation, give the codes that the campaign computes."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from amhw.array.compiled import build
from amhw.array.designs import conv_engine
from amhw.array.plan import ConvPlan
from amhw.faults.brute import FaultyNetwork
from amhw.faults.memories import Fault, memories
from amhw.faults.models import MODELS
from amhw.manifests import MemoryPlace
from amhw.multiplier import Multiplier
from amhw.network.quantised import QuantisedNetwork
from amhw.refusal import Refusal
from amhw.simulation import bench_folder


@dataclass(frozen=True)
class Compared:
    """What a simulation gave.

    Attributes:
        faults: how many were written.
        codes: compared.
        changed: faults that change a code.
        different: faults of which a code is not what the campaign computes.
    """

    faults: int
    codes: int
    changed: int
    different: tuple[Fault, ...]


def some_faults(plan: ConvPlan, count: int, seed: int = 0) -> tuple[Fault, ...]:
    """Faults of every model in weights and biases of both convolutions, drawn at random: of those that the engine's
    memories can hold, which have fewer bits than the network's for a bias."""
    random = np.random.default_rng(seed)
    kept = [plan.widths.bits_b, range(plan.bias_width - 1)]
    found: list[Fault] = []
    network = plan.network
    places = memories(network, [f"{name}.{kind}" for name in network.convolutions for kind in ("weights", "bias")])
    every = [(memory, model) for memory in places for model in MODELS.values()]
    while len(found) < count:
        memory, model = every[len(found) % len(every)]
        word = int(random.integers(len(memory)))
        bit = int(random.integers(model.locations(memory.width)))
        touched = set(range(bit, bit + model.bits))
        if touched <= set(kept[memory.kind == "bias"]):
            value = int(memory.faulty(model)[word, bit])
            found.append(Fault(memory.layer, memory.kind, word, bit, model.name, value))
    return tuple(found)


@dataclass(frozen=True)
class Engine:
    """A compiled simulation: the program, and where its memories are."""

    program: Path
    places: Mapping[str, MemoryPlace]


def engine(multiplier: Multiplier, plan: ConvPlan, folder: Path) -> Engine:
    """Compile the engine of a plan; `simulator_environment` finds the simulator.

    Raises:
        Refusal: it cannot be built.
    """
    text, manifest = conv_engine(multiplier, plan, "faulty_engine")
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "faulty_engine.v"
    source.write_text(text, encoding="utf-8")
    return Engine(build(source, bench_folder() / "fault_harness.cpp", folder / "build"), manifest.memory_map)


def compare(simulated: Engine, plan: ConvPlan, faults: Sequence[Fault], images: np.ndarray) -> Compared:
    """Write each fault, push the images (uint8[N, 1, H, W]) through, write the right word back.

    Raises:
        Refusal: the simulation stops.
    """
    program = simulated.program
    last = plan.layers[-1]
    each = last.outputs * last.pooled**2
    commands = bytearray()
    for fault in faults:
        writes = list(_writes(plan, simulated.places, fault))
        for right in (False, True):
            for address, faulty, word in writes:
                commands += b"W" + ((address << 32 | (word if right else faulty) & 0xFFFFFFFF).to_bytes(8, "little"))
            if not right:
                commands += b"R" + b"".join(b"I" + image.tobytes() for image in images)
    done = subprocess.run(
        [str(program), str(plan.image_side**2), str(each)], input=bytes(commands), capture_output=True
    )
    if done.returncode:
        raise Refusal(f"{program} stopped with status {done.returncode}")
    found = np.frombuffer(done.stdout, np.uint8).reshape(len(faults), len(images), -1)
    leaving = plan.network.network.leaving(plan.network.convolutions[-1])
    tables = dict.fromkeys(plan.network.convolutions, plan.table)
    network = FaultyNetwork(plan.network, tables)
    golden = network.outputs(images)[leaving].reshape(len(images), -1)
    different, changed = [], 0
    for fault, codes in zip(faults, found, strict=True):
        wanted = network.having(fault).outputs(images)[leaving].reshape(len(images), -1)
        changed += int(not np.array_equal(wanted, golden))
        if not np.array_equal(codes, wanted):
            different.append(fault)
    return Compared(len(faults), found.size, changed, tuple(different))


def _writes(plan: ConvPlan, places: Mapping[str, MemoryPlace], fault: Fault) -> Iterator[tuple[int, int, int]]:
    """Address, faulty word and right word, for the word of the engine's memory in which a fault is."""
    other = replace(plan, network=_with(plan.network, fault))
    pairs = {"weights": (plan.weight_words, other.weight_words), "biases": (plan.bias_words, other.bias_words)}
    for name, (right, faulty) in pairs.items():
        place = places[name]
        right, faulty = (words.reshape(place.words, place.lanes) for words in (right, faulty))
        for word, lane in np.argwhere(right != faulty).tolist():
            address = place.base + word * place.stride + lane
            yield address, int(faulty[word, lane]), int(right[word, lane])


def _with(network: QuantisedNetwork, fault: Fault) -> QuantisedNetwork:
    layers = []
    for layer in network.layers:
        if layer.name == fault.layer:
            member = "weights" if fault.kind == "weights" else "bias"
            values = getattr(layer, member).copy()
            values.reshape(-1)[fault.word] = fault.value
            layer = replace(layer, **{member: values})
        layers.append(layer)
    return replace(network, layers=tuple(layers))
