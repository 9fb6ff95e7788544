"""How much harm protections leave, from the counts of a campaign, beside what they cost."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from amhw.documents import Amount, Count, Document, Share
from amhw.faults.campaign import Campaign, Part, golden_run
from amhw.faults.codes import Plain
from amhw.faults.cost import Cost
from amhw.faults.memories import Memory
from amhw.faults.models import MODELS
from amhw.faults.outcome import RIGHT_TO_WRONG, Counts
from amhw.faults.protection import SELECTIVE, Accounts, Left, code_of, harm
from amhw.faults.summary import Subject
from amhw.svg import svg


@dataclass(frozen=True)
class Row:
    """One protection.

    Attributes:
        name: of `amhw.faults.protection.PROTECTIONS`; empty for none.
        share: of the bits that chosen outputs have; 1 where all words are protected.
        outputs: how many are chosen; 0 where all are.
        stored: bits of weights and biases as they are stored, check bits and copies included.
        repeated: multiplications that are done again, of all.
        correct: images that are classified correctly without a fault.
        harm: images lost, in shares of all, added up over flips of all stored bits.
        left: harm in parts of that without protection.
        weights_left: trials with another class, of flips of the stored bits of weights only, in parts of those without
            protection.
        corrected: flips of stored bits of the weights that it protects after which what the multiplier reads is right,
            of all.
        cost: of one instance of its circuit.
    """

    name: str
    share: Share
    outputs: Count
    stored: Count
    repeated: Amount
    correct: Count
    harm: float
    left: float
    weights_left: float
    corrected: Share
    cost: Cost | None


@dataclass(frozen=True)
class Protections(Document):
    """What `amhw faults --protect` writes."""

    kind = "fault protections"
    schema = 1
    called = "list of protections"
    written_by = "amhw faults --protect"

    subject: Subject
    rows: tuple[Row, ...]


Measure = Callable[[Counts], np.ndarray]

_BOTH = ("weights", "bias")


def moved(counts: Counts) -> np.ndarray:
    """Images whose class changes, fault by fault: int64[…]."""
    found: np.ndarray = counts[..., RIGHT_TO_WRONG:].sum(axis=-1)
    return found


def accounts(
    campaign: Campaign,
    flips: Mapping[Part, Counts],
    protection: str = "",
    kinds: Sequence[str] = _BOTH,
    measure: Measure = harm,
) -> Accounts:
    """Harm (or another measure) by output, of the flips of what a protection stores; of single flips of the words
    themselves without one."""
    network = campaign.network
    found: dict[str, np.ndarray] = {}
    bits: dict[str, int] = {}
    for memory in _memories(campaign, kinds):
        counts = (
            campaign.protected(flips, memory, protection)
            if protection
            else campaign.counts(flips, memory, MODELS["flip"])
        )
        outputs = network[memory.layer].outputs
        each = measure(counts).reshape(outputs, -1).sum(axis=1)
        found[memory.layer] = found.get(memory.layer, np.zeros(outputs)) + each
        bits[memory.layer] = bits.get(memory.layer, 0) + memory.bits // outputs
    every = network.network.multiplications
    multiplications = {layer: every[layer] // network[layer].outputs for layer in found}
    return Accounts(len(campaign.images), found, bits, multiplications)


def row(campaign: Campaign, flips: Mapping[Part, Counts], name: str, share: float, cost: Cost | None) -> Row:
    """What a protection leaves."""
    plain = accounts(campaign, flips)
    chosen = plain.chosen(share) if name in SELECTIVE else []
    left, corrected = _left(campaign, flips, name, chosen, _BOTH, harm)
    weights, _ = _left(campaign, flips, name, chosen, ("weights",), moved)
    without, moving = plain.total.harm, accounts(campaign, flips, "", ("weights",), moved).total.harm
    if name in SELECTIVE:
        protected = sum(plain.bits[layer] for layer, _ in chosen) / plain.total.stored
    else:
        protected = float(bool(name))
    return Row(
        name,
        share=protected,
        outputs=len(chosen),
        stored=left.stored,
        repeated=float(left.repeated),
        correct=_correct(campaign, clipped=name == "clip"),
        harm=round(float(left.harm), 6),
        left=float(left.harm / without) if without else 0.0,
        weights_left=float(weights.harm / moving) if moving else 0.0,
        corrected=corrected,
        cost=cost,
    )


def _left(
    campaign: Campaign,
    flips: Mapping[Part, Counts],
    name: str,
    chosen: list[tuple[str, int]],
    kinds: Sequence[str],
    measure: Measure,
) -> tuple[Left, float]:
    """What a protection leaves of a measure in memories of some kinds, and the share of flips in weights that it
    corrects."""
    plain = accounts(campaign, flips, "", kinds, measure)
    if not name:
        return plain.total, 0.0
    if name == "triplicate":
        return plain.triplicated(chosen), float(bool(chosen))
    if name == "split":
        return plain.split(chosen, accounts(campaign, flips, "split", kinds, measure).plain), 0.0
    stored = lost = right = flipped = 0
    for memory in _memories(campaign, kinds):
        code = code_of(name, memory, campaign.tables)
        stored += len(memory) * code.stored
        patterns = code.written(memory.patterns)[:, None] ^ 1 << np.arange(code.stored)
        same = _reads_alike(campaign, memory, memory.valued(code.read(patterns)))
        if memory.kind == "weights" and (name == "clip" or not isinstance(code, Plain)):
            right, flipped = right + int(same.sum()), flipped + same.size
        if name in ("clip", "parity"):
            lost += int(measure(campaign.protected(flips, memory, name)).sum())
        elif not same.all():
            lost += int(measure(campaign.counts(flips, memory, MODELS["flip"])).sum())
    if name == "clip":
        requantised = ((layer.outputs, layer.requantisation) for layer in campaign.network.layers)
        stored += sum(outputs * one.maximum.bit_length() for outputs, one in requantised if one is not None)
    return Left(stored, lost / plain.images), right / max(flipped, 1)


def _reads_alike(campaign: Campaign, memory: Memory, values: np.ndarray) -> np.ndarray:
    """Whether what is read instead of each word, int64[words, flips], is the same to what uses it."""
    if memory.kind != "weights" or memory.layer not in campaign.tables:
        return values == memory.values[:, None]
    columns = campaign.tables[memory.layer].products.T
    _, kind = np.unique(columns, axis=0, return_inverse=True)
    codes = len(kind) - 1
    same: np.ndarray = kind[values & codes] == kind[memory.values & codes][:, None]
    return same


def _memories(campaign: Campaign, kinds: Sequence[str]) -> tuple[Memory, ...]:
    return tuple(memory for memory in campaign.memories if memory.kind in kinds)


def _correct(campaign: Campaign, *, clipped: bool) -> int:
    parts = golden_run(campaign.network, campaign.tables, campaign.images, clipped=clipped)
    return sum(int((part.classes == part.labels).sum()) for part in parts)


def table(found: Protections) -> str:
    """As CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heading = ("protection", "share", "outputs", "stored_bits", "repeated", "correct", "harm", "left", "weights_left")
    writer.writerow([*heading, "corrected", "area_um2", "delay_ps", "circuit"])
    for one in found.rows:
        cost = ["", "", ""] if one.cost is None else [one.cost.area_um2, one.cost.delay_ps, one.cost.circuit]
        shares = [f"{one.repeated:.6f}", str(one.correct)]
        shares += [f"{each:.6f}" for each in (one.harm, one.left, one.weights_left, one.corrected)]
        writer.writerow([one.name or "none", f"{one.share:.4f}", one.outputs, one.stored, *shares, *cost])
    return text.getvalue()


def picture(found: Protections) -> str:
    """Harm left against the area of a circuit and against the bits stored, as SVG: of all words, and of weights."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    by_area, by_bits = figure.subplots(1, 2, sharey=True)
    plain = next(one for one in found.rows if not one.name)
    for one in found.rows:
        area = 0.0 if one.cost is None else one.cost.area_um2
        for ax, x in ((by_area, area), (by_bits, 100 * (one.stored / plain.stored - 1))):
            ax.plot([x, x], [100 * one.left, 100 * one.weights_left], color="0.8", zorder=1)
            ax.plot(x, 100 * one.left, "o", color="tab:red", zorder=2)
            ax.plot(x, 100 * one.weights_left, "s", color="tab:blue", markersize=5, zorder=2)
            if one.name:
                at = (x, 50 * (one.left + one.weights_left))
                ax.annotate(one.name, at, xytext=(6, -3), textcoords="offset points", size=9, rotation=30)
    by_area.set(
        xlabel="area of one instance of the circuit, µm² (restructured)", ylabel="left, % of that without protection"
    )
    by_bits.set(xlabel="bits stored more, %")
    by_bits.plot([], [], "o", color="tab:red", label="harm, flips of weights and biases")
    by_bits.plot([], [], "s", color="tab:blue", markersize=5, label="classes changed, flips of weights")
    by_bits.legend()
    for ax in (by_area, by_bits):
        ax.set_ylim(-5, None)
        ax.margins(x=0.15)
        ax.grid(alpha=0.3)
    figure.suptitle(found.subject.network, size=9)
    return svg(figure)
