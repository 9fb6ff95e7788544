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
from amhw.lenet.data import mnist_slice
from amhw.lenet.shipped import float_network
from amhw.nn import approximate

ROUNDS, BATCH = 12, 256
MULTIPLIERS = {
    "exact u8s8": ("mul_u8s8_pp_full", 3.0),
    "8 kept, one term": ("mul_u8s8_pp_0_0_0_0_0_0_f0_f0", 3.0),
    "2 kept, one term": ("mul_u8s8_pp_0_0_0_0_0_0_0_c0", 3.0),
    "12 kept, three terms": ("mul_u8s8_pp_0_0_0_0_0_e0_f0_f8", 3.0),
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
    images = torch.tensor(np.array(data.images[:, None])).float() / 255
    x, labels = images.contiguous(memory_format=torch.channels_last), torch.tensor(data.labels.astype(np.int64))
    tables = {name: (ProductTable.of(parse(multiplier)), limit) for name, (multiplier, limit) in MULTIPLIERS.items()}
    tables["arbitrary table, gathered"] = (arbitrary(), float("inf"))
    steps = {"float": step_of(network.model(), x, labels)}
    for name, (table, _) in tables.items():
        multipliers = {layer: table if layer.startswith("conv") else None for layer in network.layer_names}
        steps[name] = step_of(approximate(network.model(), multipliers, inputs=images, input_scale=1 / 255), x, labels)
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.process_time()
            step()
            best[name] = min(best[name], time.process_time() - start)
    print(f"{torch.get_num_threads()} threads\n{'training step':28} {'ms':>7} {'ratio':>6} {'target':>7}")
    print(f"{'float':28} {1e3 * best['float']:7.1f} {1:6.2f}")
    for name, (_, limit) in tables.items():
        target = f"≤ {limit}" if limit < float("inf") else "none"
        print(f"{name:28} {1e3 * best[name]:7.1f} {best[name] / best['float']:6.2f} {target:>7}")


if __name__ == "__main__":
    main()
