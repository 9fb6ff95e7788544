"""The float network: LeNet-5, its file, and torch models taken over."""

import numpy as np
import pytest
import torch
from torch import nn

from amhw.datasets import mnist_test
from amhw.network.layers import MaxPool
from amhw.network.models.lenet5 import NETWORK, float_network, network
from amhw.network.module import NetworkModule
from amhw.network.real import FloatNetwork
from amhw.refusal import Refusal


def test_the_value_computes_what_the_torch_model_computes():
    torch.manual_seed(1)
    model = NetworkModule(NETWORK)
    images = mnist_test().images[:20]
    with torch.no_grad():
        wanted = model(torch.tensor(images).float() / 255).numpy()
    np.testing.assert_allclose(FloatNetwork.of(model).logits(images, batch=7), wanted, rtol=1e-4, atol=1e-5)


def test_lenet5_has_the_published_shape():
    value = FloatNetwork.of(NetworkModule(NETWORK))
    assert [layer.weights.shape for layer in value.layers] == [
        (6, 1, 5, 5),
        (16, 6, 5, 5),
        (120, 400),
        (84, 120),
        (10, 84),
    ]
    assert value.layer_names == ("conv1", "conv2", "fc1", "fc2", "fc3")
    assert [NETWORK[name].padding for name in value.convolutions] == [(2, 2), (0, 0)]
    assert [NETWORK.pool_of(name) for name in value.convolutions] == [
        MaxPool(name, (2, 2), (2, 2)) for name in ("pool1", "pool2")
    ]
    assert NETWORK.shapes["flatten"] == (400,)


def test_a_sequence_of_torch_modules_becomes_a_network():
    torch.manual_seed(2)
    modules = [nn.Conv2d(3, 4, (3, 5), (1, 2), (0, 1)), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 10)]
    model = nn.Sequential(*modules)
    value = FloatNetwork.of(model, (3, 6, 16))
    assert value.layer_names == ("conv1", "fc1")
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 16), dtype=np.uint8)
    with torch.no_grad():
        wanted = model(torch.tensor(images).float() / 255).numpy()
    np.testing.assert_allclose(value.logits(images), wanted, rtol=1e-4, atol=1e-5)


def test_the_file_gives_the_value_back(tmp_path):
    shipped = float_network()
    again = FloatNetwork.load(shipped.save(tmp_path / "float.npz"))
    assert again.sha256 == shipped.sha256
    assert again.layers[3].weights.tobytes() == shipped.layers[3].weights.tobytes()


def test_a_quantised_network_is_no_float_network(tmp_path):
    with pytest.raises(Refusal, match=r"int\.npz holds a quantised network; wanted a float network"):
        FloatNetwork.load(network().save(tmp_path / "int.npz"))


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)], "conv1 feeds .* without a ReLU"),
        ([nn.Conv2d(1, 2, 3), nn.Sigmoid()], "cannot take Sigmoid"),
        ([nn.Conv2d(2, 2, 3, groups=2)], "1 channels for 2 groups"),
        ([nn.Conv2d(1, 2, 3, dilation=2)], "no dilation"),
        ([nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2, 1)], "MaxPool2d without padding"),
        ([nn.Conv2d(1, 2, 3), nn.ReLU()], "conv1 is the last layer: wanted a linear one without ReLU"),
    ],
)
def test_a_module_that_has_no_integer_layer_is_refused(modules, message):
    with pytest.raises(Refusal, match=message):
        FloatNetwork.of(nn.Sequential(*modules), (1, 28, 28))
