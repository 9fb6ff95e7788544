"""Torch modules of the user's: what our network computes is what they compute."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_models import Mobile, Residual, seeded

from amhw.interchange.imported import read_network
from amhw.interchange.lowering import lower
from amhw.interchange.torch_module import read_module
from amhw.network.inference import Inference
from amhw.network.quantise import quantise
from amhw.refusal import Refusal

FILE = """
import sys
from torch import nn
import torch

def good():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))

def raises():
    raise KeyError("no weights\\nat all")

def leaves():
    sys.exit("enough")

def wants_more(width):
    return good()

def no_module():
    return 42

def three_channels():
    return nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))

class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

def branches():
    return Branching()

class Floored(nn.Module):
    def forward(self, x):
        return torch.div(x, 0.5, rounding_mode="floor").flatten(1)

class Dropping(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x).flatten(1)

class Averaged(nn.Module):
    def forward(self, x):
        return x.mean()

def floors():
    return Floored()

def drops():
    return Dropping()

def averages():
    return Averaged()

def sigmoid():
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(108, 4))

number = 3
"""


@pytest.fixture
def user_file(tmp_path, monkeypatch):
    (tmp_path / "their_models.py").write_text(FILE)
    (tmp_path / "broken_models.py").write_text("import nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    import sys

    for name in ("their_models", "broken_models"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", [Mobile, Residual])
def test_a_module_computes_what_it_did(kind):
    module = seeded(kind(2, 4))
    images = np.random.default_rng(0).integers(0, 256, (30, 2, 16, 16), dtype=np.uint8)
    network = lower(read_module(module, (2, 16, 16), "net")).network
    with torch.no_grad():
        wanted = module(torch.tensor(images).float() / 255).numpy()
    np.testing.assert_allclose(network.logits(images), wanted, atol=2e-5)
    made = quantise(network, images)
    near = Inference(made).logits(images) * made.layers[-1].unit
    assert np.abs(near - wanted).mean() < 0.2 * wanted.std(axis=0).mean()


def test_functions_and_modules_are_the_same():
    class Written(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding="same", bias=False)
            self.norm = nn.BatchNorm2d(4, affine=False)
            self.fc = nn.Linear(4, 3)

        def forward(self, x):
            x = (x - 0.0) * 1.0
            x = self.norm(self.conv(x)).clamp(0, 6).contiguous()
            x = nn.functional.adaptive_max_pool2d(x, 2)
            x = nn.functional.dropout(x.mean(dim=(2, 3)), training=self.training)
            return self.fc(x).log_softmax(dim=1)

    module = seeded(Written())
    images = np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
    lowered = lower(read_module(module, (1, 8, 8), "net"))
    assert lowered.network.layer_names == ("conv", "fc") and len(lowered.notes) == 1
    with torch.no_grad():
        wanted = module(torch.tensor(images).float() / 255).numpy()
    found = torch.tensor(lowered.network.logits(images)).log_softmax(dim=1).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_a_function_of_the_users(user_file):
    network = read_network("their_models:good", (1, 8, 8)).network.network
    assert network.name == "good" and network.layer_names == ("conv1", "fc1")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("their_models:raises", r"their_models:raises raises KeyError: 'no weights\\nat all'"),
        ("their_models:leaves", "raises SystemExit: enough"),
        ("their_models:wants_more", "raises TypeError: wants_more"),
        ("their_models:no_module", "gives int; wanted a torch.nn.Module"),
        ("their_models:nowhere", "their_models has no function nowhere"),
        ("their_models:number", "their_models has no function number"),
        ("their_models:three_channels", r"does not take images \[1, 8, 8\]"),
        ("their_models:branches", "cannot be exported by torch.export"),
        ("their_models:sigmoid", r"1 \(sigmoid.default\) has no layer here"),
        ("their_models:floors", r"div.*is set up in a way that has no layer here: \{'rounding_mode': 'floor'\}"),
        ("their_models:drops", r"dropout.*is set up in a way that has no layer here: \{'train': True\}"),
        ("their_models:averages", r"mean.*averages over axes \[\] of \[1, 1, 8, 8\]; wanted 2 and 3"),
        ("broken_models:f", "broken_models raises ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("no_models:f", "no module no_models; wanted one in this folder"),
        (":f", ":f is no MODULE:FUNCTION"),
        ("their_models:", "their_models: is no MODULE:FUNCTION"),
    ],
)
def test_what_cannot_be_used_is_one_line(model, message, user_file):
    with pytest.raises(Refusal, match=message) as caught:
        read_network(model, (1, 8, 8))
    assert "\n" not in str(caught.value)
