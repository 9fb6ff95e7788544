"""ResNet-8: three blocks with a way around them, for colour images of 32 × 32 (He et al., "Deep residual learning for
image recognition", 2016; Banbury et al., "MLPerf Tiny benchmark", 2021), without batch normalisation."""

from amhw.network.layers import Add, AveragePool, Convolution, Flatten, Layer, Linear
from amhw.network.network import Network


def _block(number: int, outputs: int, before: str, stride: int) -> tuple[Layer, ...]:
    """Two 3 × 3 convolutions, and around them nothing or, where the shape changes, a 1 × 1 convolution."""
    first, second, around = (f"conv{number}{which}" for which in ("a", "b", "s"))
    steps = (stride, stride)
    convolutions = (
        Convolution(first, outputs, (3, 3), steps, (1, 1), source=before),
        Convolution(second, outputs, (3, 3), padding=(1, 1), relu=False),
    )
    if stride == 1:
        return (*convolutions, Add(f"add{number}", before))
    return (
        *convolutions,
        Convolution(around, outputs, (1, 1), steps, relu=False, source=before),
        Add(f"add{number}", second),
    )


NETWORK = Network(
    name="ResNet-8",
    input_shape=(3, 32, 32),
    classes=10,
    layers=(
        Convolution("conv0", 16, (3, 3), padding=(1, 1)),
        *_block(1, 16, "conv0", 1),
        *_block(2, 32, "add1", 2),
        *_block(3, 64, "add2", 2),
        AveragePool("pool", (8, 8), (8, 8)),
        Flatten("flatten"),
        Linear("fc", 10, relu=False),
    ),
)
