"""Networks of every shape that the layers allow, swapped and exported."""

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_networks import networks, with_weights

from amhw.network.inference import Inference
from amhw.network.quantised import Operands
from amhw.network.real import pixels
from amhw.nn import approximate, export
from amhw.nn.swap import exact_table
from amhw.refusal import Refusal


@settings(max_examples=40, deadline=None)
@given(network=networks(engine=False), seed=st.integers(0, 99), signed=st.booleans(), narrow=st.booleans())
def test_the_exported_network_gives_the_models_bits(network, seed, signed, narrow):
    operands = Operands(5, 6, signed) if narrow else Operands(8, 8, signed)
    images = np.random.default_rng(seed).integers(0, 256, (30, *network.input_shape), dtype=np.uint8)
    table = exact_table(operands)
    model = approximate(
        with_weights(network, seed).module(), dict.fromkeys(network.layer_names, table), inputs=pixels(images)
    ).eval()
    try:
        exported = export(model)
    except Refusal as refusal:
        # Initial weights may leave a layer nothing to do, whose scale then fits no constant.
        assert "2^" in str(refusal) or "multiplier 0" in str(refusal)
        assume(False)
    assert exported.network == network
    with torch.no_grad():
        found = model(pixels(images)).numpy()
    logits = Inference(exported).logits(images)
    np.testing.assert_array_equal((logits * exported.layers[-1].unit).astype(np.float32), found)
    # Training computes the same but for the rounding of its constants.
    trained = model.train()(pixels(images)).detach().numpy()
    assert np.abs(trained - found).mean() < 0.1 * np.abs(found).mean() + 1e-3
