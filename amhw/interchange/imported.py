"""A network from elsewhere, brought in: read, quantised, written, and seen to work on test images."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amhw.datasets import DataSource, Identity
from amhw.interchange.integers import integers_of
from amhw.interchange.lowering import lower
from amhw.interchange.onnx_file import read_onnx
from amhw.interchange.torch_module import made_by, read_module
from amhw.network.inference import Inference
from amhw.network.quantise import quantise
from amhw.network.quantised import QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.refusal import Refusal


@dataclass(frozen=True)
class Normalisation:
    """What a model takes instead of pixels in 0…1: (pixel / 255 − mean) / deviation, one number or one a channel.

    Raises:
        Refusal: a deviation is not positive.
    """

    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if not min(self.deviation) > 0:
            raise Refusal(f"--std {min(self.deviation):g}; wanted positive numbers")


PIXELS = Normalisation()


@dataclass(frozen=True, eq=False)
class Foreign:
    """A network from elsewhere.

    Attributes:
        network: with real weights.
        integers: those of a quantised model, where they could be taken over.
        notes: lines for the user: what is not quite as it was.
    """

    network: FloatNetwork
    integers: QuantisedNetwork | None = None
    notes: tuple[str, ...] = ()

    def on(self, identity: Identity) -> "Foreign":
        """The same, trained on a data set."""
        real = replace(self.network, network=self.network.network.on(identity))
        integers = self.integers and replace(self.integers, network=real.network)
        return replace(self, network=real, integers=integers)


def read_network(model: str, shape: tuple[int, int, int], normalisation: Normalisation = PIXELS) -> Foreign:
    """The network of an ONNX file or of MODULE:FUNCTION, for images of `shape`, (C, H, W).

    Raises:
        Refusal: it is neither, or something in it cannot be expressed; names the node.
    """
    path = Path(model)
    if path.suffix == ".onnx" or path.is_file():
        graph = read_onnx(path, shape)
        source = str(path)
    elif ":" in model:
        graph = read_module(made_by(model), shape, model.rpartition(":")[2])
        source = model
    else:
        raise Refusal(f"{model} is no model; wanted FILE.onnx, or MODULE:FUNCTION that makes a torch module")
    try:
        lowered = lower(graph, normalisation.mean, normalisation.deviation)
        integers, reason = integers_of(lowered)
    except Refusal as refusal:
        raise Refusal(f"{source}: {refusal}") from None
    notes = [f"{source}: {note}" for note in lowered.notes]
    if reason is not None:
        notes.append(f"{source}: its integers are not taken over, it is quantised anew: {reason}")
    return Foreign(lowered.network, integers, tuple(notes))


@dataclass(frozen=True)
class Imported:
    """A network that was brought in and written, as integers and in floating point, and everything on which it depends.

    Attributes:
        taken_over: whether the integers are those of the model; else they were found on training images.
    """

    model: str
    network: Path
    network_sha256: str
    float_network: Path
    layers: list[str]
    operands: str
    taken_over: bool
    data: dict[str, str]
    test_sha256: str
    images: int
    float_accuracy: float
    accuracy: float
    notes: list[str]

    def summary(self) -> str:
        """For people."""
        how = "its own integers" if self.taken_over else "quantised"
        return (
            f"float  {100 * self.float_accuracy:.2f} %  {self.float_network}\n"
            f"{self.operands:6} {100 * self.accuracy:.2f} % of {self.images} test images, {how}  {self.network}"
        )

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


def import_network(model: str, source: DataSource, out: Path, normalisation: Normalisation = PIXELS) -> Imported:
    """Read `model`, quantise it on training images of `source` unless it has integers, write both as `out` and beside
    it as STEM-float.npz, and classify the test images with both.

    Raises:
        Refusal: as `read_network`; the images have more classes than the model, or there are no training images to
            quantise it on; or a file cannot be written.
    """
    test = source.test
    found = read_network(model, test.shape, normalisation)
    found.network.network.check_images(test)
    if found.integers is None and not source.has_training:
        raise Refusal(f"{source.name} has no training images to quantise {model} on; wanted some")
    found = found.on(source.identity)
    quantised = found.integers or quantise(found.network, source.calibration.images)
    float_accuracy = float((found.network.logits(test.images).argmax(axis=1) == test.labels).mean())
    accuracy = float(Inference(quantised).correct(test).mean())
    float_file = found.network.save(out.with_name(f"{out.stem}-float{out.suffix}"))
    quantised.save(out)
    return Imported(
        model,
        out,
        quantised.sha256,
        float_file,
        list(quantised.layer_names),
        "/".join(dict.fromkeys(layer.operands.name for layer in quantised.layers)),
        found.integers is not None,
        vars(source.identity),
        test.sha256,
        len(test),
        float_accuracy,
        accuracy,
        list(found.notes),
    )
