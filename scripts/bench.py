"""Ratios, measured in one run: python scripts/bench.py

Evaluation of the 10,000 MNIST test images with different product tables in both convolution layers, against the
exact integer evaluation. The variants take turns and the best round of each counts, so that other work on the
machine weighs on all of them alike. Then the time that the product table of each family takes, the slowest ones named.
Training steps follow (scripts/bench_train.py).
"""

import time

import bench_train
import numpy as np

from amhw import Masked, ProductTable
from amhw.datasets import mnist_test
from amhw.families.catalogue import representatives
from amhw.multiplier import SIGNEDNESS
from amhw.network.inference import MAX_TERMS, Inference
from amhw.network.models.lenet5 import network

ROUNDS = 3


def mask(rows: str) -> ProductTable:
    return ProductTable.of(Masked.from_text(rows, 8, 8, signed_b=True))


def truncating() -> ProductTable:
    """Both operands lose their low bits, as in DRUM: products of two functions of one operand each."""
    a, b = np.arange(256), np.arange(256)
    signed = np.where(b > 127, b - 256, b)
    return ProductTable((a & ~7)[:, None] * (np.sign(signed) * (np.abs(signed) & ~7))[None, :], False, True)


def arbitrary() -> ProductTable:
    products = np.random.default_rng(0).integers(-30_000, 30_000, (256, 256), dtype=np.int32)
    products[0, :] = products[:, 0] = 0
    return ProductTable(products, False, True)


VARIANTS = {
    "separable (DRUM-like)": (truncating(), 2.0),
    "mask, 2 distinct rows": (mask("0,0,0,0,0,c0,e0,e0"), 2.5),
    "mask, 4 distinct rows": (mask("0,0,0,0,e0,f0,f8,fc"), 2.5),
    "mask, 8 distinct rows": (mask("80,c0,e0,f0,f8,fc,fe,ff"), 5.0),
    "arbitrary table": (arbitrary(), 5.0),
}


SLOWEST, TABLE_MS = 5, 10.0


def tables() -> None:
    """Milliseconds for the 65,536 products of each multiplier of the catalogue, at every signedness."""
    multipliers = {
        multiplier.name: multiplier
        for signed_a, signed_b in SIGNEDNESS.values()
        for _, multiplier in representatives(signed_a=signed_a, signed_b=signed_b)
    }
    best = dict.fromkeys(multipliers, float("inf"))
    for _ in range(2 * ROUNDS):
        for name, multiplier in multipliers.items():
            start = time.perf_counter()
            ProductTable.of(multiplier)
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"{f'65,536 products, {len(best)} multipliers':52} {'ms':>6} {'target':>7}")
    for name in sorted(best, key=lambda name: -best[name])[:SLOWEST]:
        print(f"{name:52} {1e3 * best[name]:6.2f} {'≤ ' + str(TABLE_MS):>7}")


def main() -> None:
    test, net = mnist_test(), network()
    evaluations = {"exact": Inference(net)}
    for name, (table, _) in VARIANTS.items():
        evaluations[name] = Inference(net, dict.fromkeys(net.convolutions, table))
    best = dict.fromkeys(evaluations, float("inf"))
    for _ in range(ROUNDS):
        for name, evaluation in evaluations.items():
            start = time.perf_counter()
            evaluation.correct(test)
            best[name] = min(best[name], time.perf_counter() - start)
    print(f"{'10,000 images':24} {'seconds':>8} {'ratio':>6} {'target':>7} {'terms':>6}")
    print(f"{'exact':24} {best['exact']:8.2f} {1:6.2f}")
    for name, (table, target) in VARIANTS.items():
        factors = table.factors(MAX_TERMS)
        terms = "gather" if factors is None else str(len(factors.u))
        print(f"{name:24} {best[name]:8.2f} {best[name] / best['exact']:6.2f} {'≤ ' + str(target):>7} {terms:>6}")


if __name__ == "__main__":
    main()
    print()
    tables()
    print()
    bench_train.main()
