"""The energy command and its traces."""

import json

import numpy as np
from click.testing import CliRunner

from amhw.energy import command, mnist_trace, uniform_trace
from amhw.lenet.shipped import network


def test_traces():
    uniform = uniform_trace(8, 8, 4000)
    assert all(codes.min() >= 0 and codes.max() < 256 for codes in uniform.values())
    assert np.unique(uniform["a"]).size > 250
    chosen = network()
    for layer in ("conv1", "conv2", "fc1"):
        trace = mnist_trace(chosen, layer, 3000)
        assert len(trace["a"]) == len(trace["b"]) == 3000
        assert set(trace["b"].tolist()) <= set(chosen[layer].weight_codes.reshape(-1).tolist())
        # The weight stays while activations pass by; the activations are those of images, not noise.
        assert (np.diff(trace["b"]) == 0).mean() > 0.9
        assert np.abs(np.diff(trace["a"])).mean() < 0.75 * np.abs(np.diff(uniform["a"])).mean()


def test_mnist_costs_less_than_noise():
    result = CliRunner().invoke(command, ["mul_u8s8_pp_0_0_0_0_0_c0_e0_e0", "--tech", "sg13g2", "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    random, real = (record["operands"][name] for name in ("uniform", "MNIST conv2"))
    assert 0 < real["settled_fj"] < random["settled_fj"] < random["timed_fj"]
    assert "no wires" in record["assumptions"]


def test_refusals():
    for arguments, says in ((["nosuch"], "mul_u8s8"), (["mul_u8s8_pp_full", "--layer", "conv9"], "conv9")):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 2 and says in result.stderr and result.stderr.count("\n") == 1
