"""Swap the layers of any torch model for layers on a product table; and back to a network of integers.

The swapped model trains like any other: the optimiser sees real weights, biases and scales.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from amhw.multiplier import Multiplier, parse
from amhw.network.layers import IMAGE, Add, AveragePool
from amhw.network.module import NetworkModule
from amhw.network.quantise import best_scale, code_range
from amhw.network.quantised import PIXEL_SCALE, Join, MadeFor, Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.real import FloatNetwork
from amhw.nn.joins import ApproxAdd, ApproxAverage
from amhw.nn.layers import ApproxConv2d, ApproxLayer, ApproxLinear, Codes, Grid
from amhw.nn.products import Products
from amhw.refusal import Refusal
from amhw.table import ProductTable, code_values

AnyMultiplier = Multiplier | ProductTable | str | None
"""A string is a multiplier's name; None is the exact one of unsigned 8-bit activations and signed 8-bit weights."""

_BETWEEN = (nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Identity)
"""Modules that give the same codes before as after requantisation, which never decreases."""


def approximate(
    model: nn.Module,
    multiplier: AnyMultiplier | Mapping[str, AnyMultiplier],
    layers: Iterable[str] | None = None,
    *,
    inputs: torch.Tensor,
    input_scale: float | None = None,
) -> nn.Module:
    """A copy of `model` whose convolution and linear layers compute on a product table, ready to train.

    Args:
        model: any module that takes `inputs`; it is left as it is.
        multiplier: for all swapped layers; or one for each layer, by the layer's name.
        layers: names of the layers, as in ``model.named_modules()``; default: those that a mapping names, else
            every convolution.
        inputs: a batch, not empty, of what the model takes, by which activation scales are set.
        input_scale: the activation scale of the layers that `inputs` itself enters, if it is known (1/255 for pixels
            in 0…1): kept, not trained. A `NetworkModule` takes pixels, so it is known there.

    Layers in an `nn.Sequential` between which there is nothing but ReLU, max-pooling and flattening requantise; so do
    all in a `NetworkModule`, whose additions and average-pools are rounded too where every layer is swapped.

    >>> from amhw import parse
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> mask = parse("mul_u8s8_pp_0_0_0_0_0_0_f0_f0")
    >>> approximate(model, mask, inputs=torch.rand(2, 1, 8, 8))[0]
    ApproxConv2d(
      4 outputs of (1, 3, 3), mul_u8s8_pp_0_0_0_0_0_0_f0_f0
      (products): Products()
      (grid): Grid()
    )

    Raises:
        Refusal: a layer is unknown or cannot be swapped (it is named), or a table does not fit.
    """
    wanted = _wanted(model, multiplier, layers)
    original = _passing(model, wanted, inputs)
    swapped = copy.deepcopy(model)
    prepared: dict[int, Products] = {}
    for name in original:
        chosen = wanted[name]
        # Inputs as the layers swapped before give them, outputs as the original model has them.
        entering, _ = _passing(swapped, [name], inputs)[name]
        try:
            if id(chosen) not in prepared:
                prepared[id(chosen)] = Products(table_of(chosen))
            products = copy.deepcopy(prepared[id(chosen)])
            layer = _swap(swapped.get_submodule(name), products, _grid_known(swapped, name, products))
            if isinstance(swapped, NetworkModule):
                known = _operands(layer).pixel_scale if name in swapped.network.pixel_layers else None
            else:
                known = input_scale if _is_the_input(entering, inputs) else None
            if known is not None:
                layer.grid.fix(known)
            layer.calibrate(entering, original[name][1])
        except Refusal as refusal:
            raise Refusal(f"{name}: {refusal}") from refusal
        swapped = _replaced(swapped, name, layer)
    if isinstance(swapped, NetworkModule):
        _round(swapped, inputs)
    link(swapped)
    return swapped


def table_of(multiplier: AnyMultiplier) -> ProductTable:
    """The product table of what may be given as a multiplier."""
    if isinstance(multiplier, ProductTable):
        return multiplier
    if multiplier is None:
        return exact_table(Operands())
    return ProductTable.of(parse(multiplier) if isinstance(multiplier, str) else multiplier)


def exact_table(operands: Operands) -> ProductTable:
    """Every product as it should be."""
    a, b = (
        code_values(operands.activation_width, operands.activation_signed),
        code_values(operands.weight_width, signed=True),
    )
    return ProductTable(a[:, None] * b, operands.activation_signed, True, name="exact")


def swapped_layers(model: nn.Module) -> dict[str, ApproxLayer]:
    """The layers of `model` that compute on a product table, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, ApproxLayer)}


def link(model: nn.Module) -> None:
    """Let each layer requantise that feeds only another one, in any `nn.Sequential` of `model`."""
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        before: ApproxLayer | None = None
        rectified = False
        for part in module:
            if isinstance(part, ApproxLayer):
                if before is not None and rectified:
                    before.output = Codes(part.grid)
                before, rectified = part, False
            elif isinstance(part, nn.ReLU):
                rectified = True
            elif not isinstance(part, _BETWEEN):
                before = None


def _grid_known(model: nn.Module, name: str, products: Products) -> Grid | None:
    """The grid of the codes that enter a layer of a `NetworkModule`, where another layer takes the same ones."""
    if not isinstance(model, NetworkModule):
        return None
    writer = model.network.writer(model.network.sources[name][0])
    for reader in () if writer == IMAGE else model.network.readers(writer):
        module = model.get_submodule(reader)
        if isinstance(module, ApproxLayer):
            if (module.grid.lowest, module.grid.highest) != (products.lowest, products.highest):
                raise Refusal(
                    f"{reader} takes the same codes, {module.grid.lowest}…{module.grid.highest}, but "
                    f"{products.table.name} takes {products.lowest}…{products.highest}"
                )
            return module.grid
    return None


def _round(module: NetworkModule, inputs: torch.Tensor) -> None:
    """Let every layer of a network send codes of the grid of those that take them.

    Where all layers that multiply are swapped, additions and average-pools round as well; codes that only they take
    get a grid of their own, with the scale that fits `inputs`.
    """
    network = module.network
    whole = len(swapped_layers(module)) == len(network.multiplying)
    operands = {name: _operands(layer) for name, layer in swapped_layers(module).items()}
    leaving: dict[str, Codes] = {}
    joins = [layer for layer in network.layers if isinstance(layer, Add | AveragePool)]
    for name in [*operands, *(join.name for join in joins if whole)]:
        readers = [module.get_submodule(reader) for reader in network.readers(name)]
        taking = [reader for reader in readers if isinstance(reader, ApproxLayer)]
        if not readers or not (whole or len(taking) == len(readers)):
            continue
        lowest, highest = code_range(network, name, operands)  # refuses codes that do not fit
        absolute = network.is_absolute(name)
        if taking:
            leaving[name] = Codes(taking[0].grid, lowest, absolute)
            continue
        grid = Grid(lowest, highest)
        _, values = _passing(module, [name], inputs)[name]
        grid.set(best_scale((torch.relu(values) if lowest == 0 and not absolute else values.abs()).numpy(), highest))
        leaving[name] = Codes(grid, lowest, absolute)
    for name, layer in swapped_layers(module).items():
        layer.output = leaving.get(name)
    leaving[IMAGE] = Codes(Grid(0, 255))
    leaving[IMAGE].grid.fix(PIXEL_SCALE)
    for join in joins if whole else ():
        taken = [leaving[network.writer(source)].grid for source in network.sources[join.name]]
        replaced = (
            ApproxAverage(join, taken[0], leaving[join.name])
            if isinstance(join, AveragePool)
            else ApproxAdd(taken[0], taken[1], leaving[join.name])
        )
        setattr(module, join.name, replaced)


def export(model: nn.Module, name: str = "network") -> QuantisedNetwork:
    """The integers of a `NetworkModule`, or of an `nn.Sequential` of layers, ReLU, max-pooling and flattening, all
    swapped; a layer with another than exact products is marked as made for its multiplier.

    `amhw.network.inference.Inference` with each layer's table gives the codes of the model in `eval()` mode, bit for
    bit: the model's outputs are its logits times `unit` of the last layer.

    Raises:
        Refusal: the model has another shape or other parts, or does not take pixels.
    """
    found = list(swapped_layers(model).values())
    described = _described(model, found)
    layers = []
    for layer, shape in zip(found, described.layers, strict=True):
        operands = _operands(layer)
        takes_pixels = shape.name in described.network.pixel_layers
        if takes_pixels and not np.isclose(layer.activation_scale, operands.pixel_scale, rtol=1e-6):
            raise Refusal(
                f"{shape.name} takes codes of {layer.activation_scale:.6g} each, but a pixel is "
                f"{operands.pixel_scale:.6g}: give approximate() this as input_scale"
            )
        if layer.output is None and shape.layer is not described.network.layers[-1]:
            raise Refusal(f"{shape.name} does not feed the next layer through a ReLU")
        codes = layer.weight_codes.cpu().numpy()
        half = 1 << (operands.weight_width - 1)
        table = layer.products.table
        layers.append(
            QuantisedLayer(
                shape.layer,
                np.where(codes >= half, codes - 2 * half, codes),
                layer.bias_codes.cpu().numpy(),
                layer.requantisation(),
                operands,
                layer.input_rounding,
                layer.activation_scale,
                layer.weight_scale,
                MadeFor(table.name, table.sha256) if table.errors.any() else None,
            )
        )
    joins: dict[str, Join] = {
        part_name: part.constants()
        for part_name, part in model.named_children()
        if isinstance(part, ApproxAdd | ApproxAverage)
    }
    return QuantisedNetwork(described.network, tuple(layers), name, joins)


def _described(model: nn.Module, found: list[ApproxLayer]) -> FloatNetwork:
    """The network that a model of swapped layers computes, with its real weights."""
    if not isinstance(model, nn.Sequential | NetworkModule):
        raise Refusal(f"cannot export a {type(model).__name__}; wanted an nn.Sequential of layers")
    shape = found[0].input_shape if found else None
    plain = {name: _plain(part) if isinstance(part, ApproxLayer) else part for name, part in model.named_children()}
    if isinstance(model, NetworkModule):
        network = model.network
        if len(found) == len(network.multiplying):
            copied = NetworkModule(network)
            for layer in network.multiplying:
                setattr(copied, layer.name, plain[layer.name])
            return FloatNetwork.of(copied)
        missing = len(network.multiplying) - len(found)
    else:
        if shape is None or len(shape) != 3:
            raise Refusal("cannot export: the first layer has not seen images [N, channels, height, width]")
        described = FloatNetwork.of(nn.Sequential(*plain.values()), (shape[0], shape[1], shape[2]))
        if len(found) == len(described.layers):
            return described
        missing = len(described.layers) - len(found)
    raise Refusal(f"{missing} layers are not swapped; give approximate() all of them")


def _wanted(
    model: nn.Module, multiplier: AnyMultiplier | Mapping[str, AnyMultiplier], layers: Iterable[str] | None
) -> dict[str, AnyMultiplier]:
    modules = dict(model.named_modules())
    known = [name for name, module in modules.items() if isinstance(module, nn.Conv2d | nn.Linear)]
    if layers is not None:
        names = list(layers)
    elif isinstance(multiplier, Mapping):
        names = list(multiplier)
    else:
        names = [name for name in known if isinstance(modules[name], nn.Conv2d)]
    for name in names:
        if name not in modules:
            raise Refusal(f"no layer {name!r}; this model has {', '.join(known)}")
        if name not in known:
            kind = type(modules[name]).__name__
            raise Refusal(f"{name} is a {kind}; wanted Conv2d or Linear layers: {', '.join(known)}")
    if not isinstance(multiplier, Mapping):
        return dict.fromkeys(names, multiplier)
    missing = [name for name in names if name not in multiplier]
    if missing:
        raise Refusal(f"no multiplier for {', '.join(missing)}")
    return {name: multiplier[name] for name in names}


def _passing(
    model: nn.Module, names: Iterable[str], inputs: torch.Tensor
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What enters and leaves each layer when the model sees `inputs`, in the order in which they are used."""
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def remember(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            seen[name] = (given[0].detach(), output.detach())

        return hook

    handles = [model.get_submodule(name).register_forward_hook(remember(name)) for name in names]
    training = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad():
            model(inputs)
    finally:
        for module, was in training.items():
            module.training = was
        for handle in handles:
            handle.remove()
    for name in names:
        if name not in seen:
            raise Refusal(f"{name} is not used when the model sees the given inputs")
    return seen


def _is_the_input(x: torch.Tensor, inputs: torch.Tensor) -> bool:
    return x.numel() == inputs.numel() and bool(torch.equal(x.flatten(), inputs.detach().flatten()))


def _swap(module: nn.Module, products: Products, grid: Grid | None) -> ApproxLayer:
    if isinstance(module, nn.Conv2d):
        return ApproxConv2d(module, products, grid)
    assert isinstance(module, nn.Linear)
    return ApproxLinear(module, products, grid)


def _replaced(model: nn.Module, name: str, layer: ApproxLayer) -> nn.Module:
    if not name:
        return layer
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
    return model


def _operands(layer: ApproxLayer) -> Operands:
    table = layer.products.table
    return Operands(table.width_a, table.width_b, table.signed_a)


def _plain(layer: ApproxLayer) -> nn.Module:
    """The torch layer of this one's shape and weights."""
    out, channels, *window = layer.weight.shape
    module: nn.Conv2d | nn.Linear
    if window:
        size = (window[0], window[1])
        module = nn.Conv2d(channels * layer.groups, out, size, layer.stride, layer.padding, groups=layer.groups)
    else:
        module = nn.Linear(channels, out)
    module.load_state_dict({"weight": layer.weight.detach().cpu(), "bias": layer.bias.detach().cpu()})
    return module
