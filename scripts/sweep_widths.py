"""Plain reduced precision, the baseline of every approximate multiplier: python scripts/sweep_widths.py

LeNet-5's accuracy on the 10,000 test images with exact multipliers of 1 to 8 bits in both convolutions, without any
training. Operands of two bits or more are quantised to their width; with one bit there is no sign left for codes, so
that the top bit of an 8-bit code is multiplied instead, with scales and biases calibrated by `amhw.nn`.
Calibration sees the packaged training images only.
"""

from amhw import ProductTable
from amhw.datasets import mnist_slice, mnist_test
from amhw.families import perforated
from amhw.network.inference import Inference
from amhw.network.models.lenet5 import float_network, network
from amhw.network.quantised import Operands
from amhw.nn import export
from amhw.nn.finetune import trainable

WIDTHS = range(1, 9)


def accuracy(activation_bits: int, weight_bits: int) -> float:
    names = float_network().convolutions
    if min(activation_bits, weight_bits) > 1:
        quantised = network(dict.fromkeys(names, Operands(activation_bits, weight_bits)))
        return float(Inference(quantised).correct(mnist_test()).mean())
    upper = perforated(range(8 - activation_bits), range(8 - weight_bits), width_a=8, width_b=8, signed_b=True)
    tables = dict.fromkeys(names, ProductTable.of(upper))
    start = float_network()
    quantised = export(trainable(start, start, tables, mnist_slice().images))
    return float(Inference(quantised, tables).correct(mnist_test()).mean())


def main() -> None:
    print("accuracy in %, rows: activation bits, columns: weight bits\n    " + "".join(f"{w:7}" for w in WIDTHS))
    for a in WIDTHS:
        print(f"{a:4}" + "".join(f"{100 * accuracy(a, w):7.2f}" for w in WIDTHS), flush=True)


if __name__ == "__main__":
    main()
