"""A torch module as a `Graph`: `torch.export` says what it computes, in PyTorch's own small set of operators.

The module comes from a function of the user's, MODULE:FUNCTION, which is imported and called: that runs the user's
Python.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from amhw.interchange.graph import Graph, Node
from amhw.refusal import Refusal


def made_by(spec: str) -> nn.Module:
    """What the function of MODULE:FUNCTION gives, in `eval()` mode; the module may be in the current folder.

    Raises:
        Refusal: there is no such module or function, it raises (its own line is shown), or gives no torch module.
    """
    module_name, _, function_name = spec.partition(":")
    if not module_name or not function_name:
        raise Refusal(f"{spec} is no MODULE:FUNCTION; wanted such as models:make")
    with _current_folder(), _lines_aside():
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{module_name}.".startswith(f"{missing.name}."):
                raise Refusal(f"{module_name} raises {_line(missing)}") from None
            raise Refusal(f"{spec}: no module {missing.name}; wanted one in this folder, or an installed one") from None
        except (Exception, SystemExit) as error:
            raise Refusal(f"{module_name} raises {_line(error)}") from None
        function = getattr(module, function_name, None)
        if not callable(function):
            raise Refusal(f"{spec}: {module_name} has no function {function_name}")
        try:
            made = function()
        except (Exception, SystemExit) as error:
            raise Refusal(f"{spec} raises {_line(error)}") from None
    if not isinstance(made, nn.Module):
        raise Refusal(f"{spec} gives {type(made).__name__}; wanted a torch.nn.Module")
    return made.eval()


def read_module(module: nn.Module, shape: tuple[int, int, int], name: str) -> Graph:
    """The graph of a module that takes images of `shape`, (C, H, W), in batches.

    Raises:
        Refusal: the module cannot take them, cannot be exported, or has an operator that is not known here.
    """
    image = torch.zeros((1, *shape))
    try:
        with _lines_aside(), torch.no_grad():
            module(image)
    except Exception as error:
        raise Refusal(f"{name} does not take images {list(shape)}: {_line(error)}") from None
    try:
        with _lines_aside():
            exported = torch.export.export(module, (image,))
    except Exception as error:
        raise Refusal(f"{name} cannot be exported by torch.export: {_line(error)}") from None
    return _Reader(exported, shape, name).graph()


class _Reader:
    def __init__(self, exported: Any, shape: tuple[int, int, int], name: str) -> None:
        self.exported, self.shape, self.name = exported, shape, name
        self.constants: dict[str, np.ndarray] = {}
        self.nodes: list[Node] = []

    def graph(self) -> Graph:
        signature = self.exported.graph_signature
        known = {**self.exported.state_dict, **self.exported.constants}
        stored = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.names: dict[str, str] = {}
        for placeholder, target in stored.items():
            self.names[placeholder] = target
            array = known[target].detach().cpu().numpy()
            self.constants[target] = array.astype(np.float32) if array.dtype.kind == "f" else array
        if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
            raise Refusal(
                f"{self.name} has {len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs; "
                "wanted one image and one vector"
            )
        output = ""
        for node in self.exported.graph.nodes:
            if node.op == "call_function" and node.users:
                self._node(node)
            elif node.op == "output":
                [output] = [self._tensor(each) for each in node.args[0]]
        return Graph(self.name, signature.user_inputs[0], self.shape, output, tuple(self.nodes), self.constants)

    def _tensor(self, value: Any) -> str:
        """The name of what a node takes; a number becomes a constant."""
        if value is None:
            return ""
        if isinstance(value, torch.fx.Node):
            return self.names.get(value.name, value.name)
        name = f"constant {len(self.constants)}"
        self.constants[name] = np.asarray(value, np.float32)
        return name

    def _node(self, node: Any) -> None:
        target = getattr(node.target, "__name__", str(node.target))
        said = list((node.meta.get("nn_module_stack") or {}).values())
        where = said[-1][0] if said and said[-1][0] else node.name
        name = target.partition(".")[0].removesuffix("_")
        if name == "getitem" and node.args[1] == 0:
            name, target = "clone", "getitem.first"
        if name not in _OPERATORS:
            raise Refusal(f"{where} ({target}) has no layer here; known are {', '.join(sorted(_OPERATORS))}")
        schema = getattr(node.target, "_schema", None)
        members = [argument.name for argument in schema.arguments] if schema is not None else ["self", "index"]
        given = {argument.name: argument.default_value for argument in schema.arguments} if schema is not None else {}
        given |= dict(zip(members, node.args, strict=False)) | node.kwargs
        op, tensors, attributes = _OPERATORS[name](given, node)
        if op is None:
            raise Refusal(f"{where} ({target}) is set up in a way that has no layer here: {attributes}")
        inputs = [self._tensor(each) for each in tensors]
        while inputs and not inputs[-1]:
            inputs.pop()
        self.nodes.append(Node(op, where, tuple(inputs), (node.name,), attributes))


Made = tuple[str | None, Sequence[Any], Mapping[str, Any]]
Given = Mapping[str, Any]


def _twice(numbers: Any) -> list[int]:
    found = [numbers] if isinstance(numbers, int) else list(numbers)
    return found * 2 if len(found) == 1 else found


def _conv(given: Given, node: Any) -> Made:
    padding = given["padding"]
    attributes: dict[str, Any] = {
        "strides": _twice(given["stride"]),
        "dilations": _twice(given["dilation"]),
        "group": given["groups"],
    }
    if isinstance(padding, str):
        window = given["weight"].meta["val"].shape[2:]
        # As torch does it: what is odd goes to the end, whatever the stride.
        total = [(size - 1) * step for size, step in zip(window, attributes["dilations"], strict=True)]
        total = total if padding == "same" else [0] * len(total)
        attributes["pads"] = [each // 2 for each in total] + [each - each // 2 for each in total]
    else:
        attributes["pads"] = _twice(padding) * 2
    return "Conv", (given["input"], given["weight"], given["bias"]), attributes


def _linear(given: Given, node: Any) -> Made:
    return "Gemm", (given["input"], given["weight"], given["bias"]), {"transB": 1}


def _batch_norm(given: Given, node: Any) -> Made:
    if given["running_mean"] is None or given["training"]:
        return None, (), {"running statistics": None}
    channels = given["running_mean"].meta["val"].shape
    scale = np.ones(channels, np.float32) if given["weight"] is None else given["weight"]
    shift = np.zeros(channels, np.float32) if given["bias"] is None else given["bias"]
    taken = (given["input"], scale, shift, given["running_mean"], given["running_var"])
    return "BatchNormalization", taken, {"epsilon": given["eps"]}


def _clip(given: Given, node: Any) -> Made:
    low, high = (given.get(a, given.get(b)) for a, b in (("min_val", "min"), ("max_val", "max")))
    limits = {"min": low, "max": high}
    return "Clip", (given["self"],), {name: limit for name, limit in limits.items() if limit is not None}


def _pool(op: str) -> Callable[[Given, Any], Made]:
    def made(given: Given, node: Any) -> Made:
        window = _twice(given["kernel_size"])
        if given.get("divisor_override") is not None:
            return None, (), {"divisor_override": given["divisor_override"]}
        attributes = {
            "kernel_shape": window,
            "strides": _twice(given["stride"]) if given["stride"] else window,
            "pads": _twice(given["padding"]) * 2,
            "ceil_mode": int(given["ceil_mode"]),
        }
        if "dilation" in given:
            attributes["dilations"] = _twice(given["dilation"])
        return op, (given["self"],), attributes

    return made


def _adaptive(op: str) -> Callable[[Given, Any], Made]:
    def made(given: Given, node: Any) -> Made:
        sides = given["self"].meta["val"].shape[2:]
        wanted = _twice(given["output_size"])
        if any(side % size for side, size in zip(sides, wanted, strict=True)):
            return None, (), {"sides": list(sides), "output_size": wanted}
        window = [side // size for side, size in zip(sides, wanted, strict=True)]
        return op, (given["self"],), {"kernel_shape": window, "strides": window}

    return made


def _mean(given: Given, node: Any) -> Made:
    axes, kept = given.get("dim") or [], given.get("keepdim", False)  # neither is said by `x.mean()`, over everything
    return "ReduceMean", (given["self"],), {"axes": list(axes), "keepdims": int(kept)}


def _sum(op: str) -> Callable[[Given, Any], Made]:
    def made(given: Given, node: Any) -> Made:
        if given.get("alpha", 1) != 1:
            return None, (), {"alpha": given["alpha"]}
        if given.get("rounding_mode") is not None:
            return None, (), {"rounding_mode": given["rounding_mode"]}
        return op, (given["self"], given["other"]), {}

    return made


def _flatten(given: Given, node: Any) -> Made:
    if given["end_dim"] not in (-1, len(given["self"].meta["val"].shape) - 1):
        return None, (), {"end_dim": given["end_dim"]}
    return "Flatten", (given["self"],), {"axis": given["start_dim"]}


def _reshaped(given: Given, node: Any) -> Made:
    return "Reshape", (given["self"],), {"shape": np.array(node.meta["val"].shape)}


def _plain(op: str) -> Callable[[Given, Any], Made]:
    def made(given: Given, node: Any) -> Made:
        return op, (given["self"],), {}

    return made


def _dropout(given: Given, node: Any) -> Made:
    if given["train"]:
        return None, (), {"train": True}
    return "Identity", (given["input"],), {}


def _first(given: Given, node: Any) -> Made:
    return "Identity", (given["self"],), {}


_OPERATORS: Mapping[str, Callable[[Given, Any], Made]] = {
    "conv2d": _conv,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "relu": _plain("Relu"),
    "abs": _plain("Abs"),
    "relu6": lambda given, node: ("Clip", (given["self"],), {"min": 0.0, "max": 6.0}),
    "hardtanh": _clip,
    "clamp": _clip,
    "clamp_min": _clip,
    "max_pool2d": _pool("MaxPool"),
    "avg_pool2d": _pool("AveragePool"),
    "adaptive_avg_pool2d": _adaptive("AveragePool"),
    "adaptive_max_pool2d": _adaptive("MaxPool"),
    "mean": _mean,
    "add": _sum("Add"),
    "sub": _sum("Sub"),
    "mul": _sum("Mul"),
    "div": _sum("Div"),
    "flatten": _flatten,
    "view": _reshaped,
    "reshape": _reshaped,
    "squeeze": _reshaped,
    "unsqueeze": _reshaped,
    "dropout": _dropout,
    "feature_dropout": _dropout,
    "clone": _first,
    "contiguous": _first,
    "alias": _first,
    "detach": _first,
    "softmax": lambda given, node: ("Softmax", (given["self"],), {}),
    "log_softmax": lambda given, node: ("LogSoftmax", (given["self"],), {}),
}


@contextmanager
def _current_folder() -> Iterator[None]:
    """Modules of the current folder can be imported, as `python -m` has it."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _lines_aside() -> redirect_stdout[Any]:
    """What the user's Python prints goes to stderr: stdout is for results, perhaps JSON."""
    return redirect_stdout(sys.stderr)


def _line(error: BaseException) -> str:
    """An exception in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
