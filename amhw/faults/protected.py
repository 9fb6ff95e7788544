"""How much harm protections leave, from the counts of a campaign, beside what they cost."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from amhw.documents import Amount, Count, Document, Share
from amhw.faults.campaign import Campaign, Part, golden_run
from amhw.faults.codes import Plain
from amhw.faults.cost import Cost
from amhw.faults.memories import Memory
from amhw.faults.models import MODELS
from amhw.faults.outcome import Counts
from amhw.faults.protection import SELECTIVE, Accounts, Left, code_of, harm
from amhw.faults.summary import Subject


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


def accounts(campaign: Campaign, flips: Mapping[Part, Counts], protection: str = "") -> Accounts:
    """Harm by output, of the flips of what a protection stores; of single flips of the words themselves without one."""
    network = campaign.network
    found: dict[str, np.ndarray] = {}
    bits: dict[str, int] = {}
    for memory in _protected(campaign):
        if protection:
            lost = harm(campaign.protected(flips, memory, protection))
        else:
            lost = harm(campaign.counts(flips, memory, MODELS["flip"]))
        outputs = network[memory.layer].outputs
        found[memory.layer] = found.get(memory.layer, np.zeros(outputs)) + lost.reshape(outputs, -1).sum(axis=1)
        bits[memory.layer] = bits.get(memory.layer, 0) + memory.bits // outputs
    every = network.network.multiplications
    each = {layer: every[layer] // network[layer].outputs for layer in found}
    return Accounts(len(campaign.images), found, bits, each)


def row(campaign: Campaign, flips: Mapping[Part, Counts], name: str, share: float, cost: Cost | None) -> Row:
    """What a protection leaves."""
    plain = accounts(campaign, flips)
    outputs, stored_share, correct = 0, 1.0, _correct(campaign, clipped=name == "clip")
    corrected = 0.0
    if not name:
        left, stored_share = plain.total, 0.0
    elif name in SELECTIVE:
        chosen = plain.chosen(share)
        outputs, stored_share = len(chosen), sum(plain.bits[layer] for layer, _ in chosen) / plain.total.stored
        if name == "triplicate":
            left, corrected = plain.triplicated(chosen), float(bool(chosen))
        else:
            left = plain.split(chosen, accounts(campaign, flips, "split").plain)
    else:
        left, corrected = _everywhere(campaign, flips, name, plain)
    without = plain.total.harm
    return Row(
        *(name, float(stored_share), outputs, left.stored, float(left.repeated), correct),
        *(round(float(left.harm), 6), float(left.harm / without) if without else 0.0, float(corrected), cost),
    )


def _everywhere(campaign: Campaign, flips: Mapping[Part, Counts], name: str, plain: Accounts) -> tuple[Left, float]:
    """Of a protection of all words, and the share of flips in weights that are corrected."""
    stored = lost = right = flipped = 0
    for memory in _protected(campaign):
        code = code_of(name, memory, campaign.tables)
        stored += len(memory) * code.stored
        patterns = code.written(memory.patterns)[:, None] ^ 1 << np.arange(code.stored)
        same = _reads_alike(campaign, memory, memory.valued(code.read(patterns)))
        if memory.kind == "weights" and (name == "clip" or not isinstance(code, Plain)):
            right, flipped = right + int(same.sum()), flipped + same.size
        if name in ("clip", "parity"):
            lost += int(harm(campaign.protected(flips, memory, name)).sum())
        elif not same.all():
            lost += int(harm(campaign.counts(flips, memory, MODELS["flip"])).sum())
    if name == "clip":
        network = campaign.network
        stored += sum(
            layer.outputs * layer.requantisation.maximum.bit_length()
            for layer in network.layers
            if layer.requantisation
        )
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


def _protected(campaign: Campaign) -> tuple[Memory, ...]:
    return tuple(memory for memory in campaign.memories if memory.kind in ("weights", "bias"))


def _correct(campaign: Campaign, *, clipped: bool) -> int:
    parts = golden_run(campaign.network, campaign.tables, campaign.images, clipped=clipped)
    return sum(int((part.classes == part.labels).sum()) for part in parts)


def table(found: Protections) -> str:
    """As CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heading = ("protection", "share", "outputs", "stored_bits", "repeated", "correct", "harm", "left", "corrected")
    writer.writerow([*heading, "area_um2", "delay_ps", "circuit"])
    for one in found.rows:
        cost = ["", "", ""] if one.cost is None else [one.cost.area_um2, one.cost.delay_ps, one.cost.circuit]
        shares = (f"{one.repeated:.6f}", one.correct, f"{one.harm:.6f}", f"{one.left:.6f}", f"{one.corrected:.6f}")
        writer.writerow([one.name or "none", f"{one.share:.4f}", one.outputs, one.stored, *shares, *cost])
    return text.getvalue()


def picture(found: Protections) -> str:
    """Harm left against the area of a circuit and against the bits stored, as SVG."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    by_area, by_bits = figure.subplots(1, 2, sharey=True)
    plain = next(one for one in found.rows if not one.name)
    for one in found.rows:
        area = 0.0 if one.cost is None else one.cost.area_um2
        name = one.name or "none"
        for ax, x in ((by_area, area), (by_bits, 100 * (one.stored / plain.stored - 1))):
            ax.plot(x, 100 * one.left, "o", color="black" if not one.name else "tab:red")
            ax.annotate(name, (x, 100 * one.left), xytext=(5, 4), textcoords="offset points", size=9)
    by_area.set(xlabel="area of one instance of the circuit, µm²", ylabel="harm left, % of that without protection")
    by_bits.set(xlabel="bits stored more, %")
    for ax in (by_area, by_bits):
        ax.set_ylim(-4, 112)
        ax.margins(x=0.2)
        ax.grid(alpha=0.3)
    figure.suptitle(found.subject.network, size=9)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
