"""A training step through a multiplier against a float step, measured in one run: python scripts/bench_train.py

LeNet-5, batches of 256, one optimiser step each; all layers quantised, the multiplier in both convolutions. Processor
time; the variants take turns and the best round of each counts, so that other work on the machine weighs little.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from amhw import ProductTable, parse
from amhw.datasets import mnist_slice
from amhw.network.inference import MAX_TERMS
from amhw.network.models.lenet5 import float_network
from amhw.nn import approximate

ROUNDS, BATCH = 12, 256
TARGET = 3.0
MULTIPLIERS = {
    "exact u8s8": "mul_u8s8_pp_full",
    "8 kept": "mul_u8s8_pp_0_0_0_0_0_0_f0_f0",
    "2 kept": "mul_u8s8_pp_0_0_0_0_0_0_0_c0",
    "DRUM, 4 bits": "mul_u8s8_sm_drum_4",
    "12 kept": "mul_u8s8_pp_0_0_0_0_0_e0_f0_f8",
    "mask of eight kinds of rows": "mul_u8s8_pp_80_c0_e0_f0_f8_fc_fe_ff",
    "Mitchell": "mul_u8s8_sm_mitchell_8",
    "4:2 compressors, Momeni": "mul_u8s8_sm_c42_momeni_8",
}


def arbitrary() -> ProductTable:
    """Exact products with an error that has no separable form: the table is gathered."""
    exact = ProductTable.of(parse("mul_u8s8_pp_full")).products.copy()
    exact[1:, 1:] += np.random.default_rng(0).integers(-300, 300, (255, 255), dtype=np.int32)
    return ProductTable(exact, False, True, name="arbitrary table")


def step_of(model: nn.Module, x: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    model = model.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(model.parameters(), 1e-4, fused=True)

    def step() -> None:
        loss = functional.cross_entropy(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def main() -> None:
    data, network = mnist_slice().first(BATCH), float_network()
    images = torch.tensor(np.array(data.images)).float() / 255
    x, labels = images.contiguous(memory_format=torch.channels_last), torch.tensor(data.labels.astype(np.int64))
    tables = {name: ProductTable.of(parse(multiplier)) for name, multiplier in MULTIPLIERS.items()}
    tables["arbitrary table"] = arbitrary()
    steps = {"float": step_of(network.module(), x, labels)}
    for name, table in tables.items():
        multipliers = {layer: table if layer.startswith("conv") else None for layer in network.layer_names}
        steps[name] = step_of(approximate(network.module(), multipliers, inputs=images, input_scale=1 / 255), x, labels)
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.process_time()
            step()
            best[name] = min(best[name], time.process_time() - start)
    print(f"{torch.get_num_threads()} threads\n{'training step':28} {'terms':>6} {'ms':>7} {'ratio':>6} {'target':>7}")
    print(f"{'float':28} {'':6} {1e3 * best['float']:7.1f} {1:6.2f}")
    for name, table in tables.items():
        factors = table.factors(MAX_TERMS)
        terms = "gather" if factors is None else str(len(factors.u))
        ratio = best[name] / best["float"]
        print(f"{name:28} {terms:>6} {1e3 * best[name]:7.1f} {ratio:6.2f} {f'≤ {TARGET}':>7}")


if __name__ == "__main__":
    main()
