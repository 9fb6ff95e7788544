"""The integers of a quantised model as ours, where they are of our kind.

A model in QDQ form rounds between its layers: q = round(y / scale) + zero, where round takes ties to even and y is what
the layer computes of integers that stand for real numbers. Here a layer has one weight scale and no zero point of its
weights, codes of activations begin with that of 0, those that are only added have it in the middle, and the factor
between two scales is m / 2^s with 16 bits of m, ties going up. So all sums and logits are the same where factors have
16 bits, but for codes on a tie; other factors are off by up to 2^−17, which moves a code by one where it lies so near
to a tie.
"""

import numpy as np

from amhw.interchange.drafts import Draft, Lowered, Steps, Value
from amhw.network.layers import Add, AveragePool, Flatten, MaxPool, Rectifying
from amhw.network.network import Multiplying
from amhw.network.quantised import PIXEL_SCALE, Join, Operands, QuantisedLayer, QuantisedNetwork
from amhw.network.requantisation import Addition, Requantisation

_NEAR = 1e-4
"""By how much scales differ that are meant to be one: they are products of float32."""

_MOST_EXACT = 2.0**21
"""Integers up to this are known again after a product of float32."""

_LARGEST_FACTOR = 2.0**15
_SMALLEST_FACTOR = 2.0**-24


def integers_of(lowered: Lowered) -> tuple[QuantisedNetwork | None, str | None]:
    """The network with the integers of a quantised model; or None, and why they are not taken over.

    Both are None if the model is not quantised.
    """
    drafts = list(lowered.drafts.values())
    if not any(draft.codes is not None or draft.steps is not None for draft in drafts):
        return None, None
    taken = _Taken(lowered)
    reason = lowered.inexact[0] if lowered.inexact else taken.reason()
    return (None, reason) if reason is not None else (taken.network(), None)


class _Taken:
    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered
        self.drafts = list(lowered.drafts.values())
        self.last = self.drafts[-1]

    def reason(self) -> str | None:
        """What does not fit, if something does not."""
        image = self.lowered.image_steps
        if image is None:
            return "the image is not rounded"
        if image.zero != image.lowest or abs(image.scale / PIXEL_SCALE - 1) > _NEAR:
            return f"{image.node} rounds the image to steps of {image.scale:.6g} from {image.zero}, not pixels, 1/255"
        reasons = (self._of(draft) for draft in self.drafts)
        return next((reason for reason in reasons if reason is not None), None)

    def _of(self, draft: Draft) -> str | None:
        if isinstance(draft.layer, MaxPool | Flatten):
            return None
        if draft is not self.last and draft.steps is None:
            return f"{draft.node} is not rounded"
        if draft is not self.last and (reason := self._steps(draft)) is not None:
            return reason
        if isinstance(draft.layer, Multiplying):
            return self._weights(draft)
        factors = self._factors(draft)
        if not _SMALLEST_FACTOR < max(factors) < _LARGEST_FACTOR:
            return f"{draft.node} scales by {max(factors):.3g}"
        return None

    def _steps(self, draft: Draft) -> str | None:
        steps = draft.steps
        assert steps is not None
        positive = self.lowered.network.network.never_negative(draft.layer.name)
        middle = (steps.lowest + steps.highest + 1) // 2
        if steps.zero != middle and not (positive and steps.zero == steps.lowest):
            wanted = f"{steps.lowest} or {middle}" if positive else f"{middle}, as it may be negative"
            return f"{steps.node} has the zero point {steps.zero}; wanted {wanted}"
        ceiling = draft.layer.ceiling if isinstance(draft.layer, Rectifying) else None
        if ceiling is not None and ceiling < (steps.highest - steps.zero - 0.5) * steps.scale:
            return f"{draft.node} is cut at {ceiling:g}, below its greatest code"
        return None

    def _weights(self, draft: Draft) -> str | None:
        codes = draft.codes
        if codes is None:
            return f"the weights of {draft.node} are no integers"
        if codes.scales.size > 1 and np.ptp(codes.scales) > 0:
            return f"{codes.node} has {codes.scales.size} weight scales; a layer here has one"
        if codes.zeros.any():
            return f"{codes.node} has weights with the zero point {codes.zeros[0]}; wanted 0"
        if codes.codes.min() < -128 or codes.codes.max() > 127:
            return f"{codes.node} has weights of more than 8 bits"
        assert draft.bias is not None
        unit = self._unit(draft)
        codes_of_bias = draft.bias / unit
        if (np.abs(codes_of_bias - np.rint(codes_of_bias)) > 0.01 + 2.0**-22 * np.abs(codes_of_bias)).any():
            return f"the biases of {draft.node} are no integers of {unit:.3g} each"
        if np.abs(codes_of_bias).max() >= _MOST_EXACT:
            return f"the biases of {draft.node} have more bits than float32"
        if draft is not self.last and not _SMALLEST_FACTOR < unit / self._scale(draft) < _LARGEST_FACTOR:
            return f"{draft.node} scales by {unit / self._scale(draft):.3g}"
        return None

    # Scales

    @staticmethod
    def _scale(draft: Draft) -> float:
        assert draft.steps is not None
        return draft.steps.scale

    def _entering(self, value: Value) -> Steps | None:
        """Into which what enters a layer was rounded; None for pixels."""
        value = value.behind(MaxPool, Flatten)
        return None if value.draft is None else value.draft.steps

    def _entering_scale(self, value: Value) -> float:
        if value.step is not None:
            return value.step
        steps = self._entering(value)
        return PIXEL_SCALE if steps is None else steps.scale

    def _unit(self, draft: Draft) -> float:
        assert draft.codes is not None
        return self._entering_scale(draft.taken[0]) * float(draft.codes.scales[0])

    def _factors(self, draft: Draft) -> tuple[float, ...]:
        """Of what enters a join, in steps of what leaves it."""
        area = draft.layer.window[0] * draft.layer.window[1] if isinstance(draft.layer, AveragePool) else 1
        return tuple(self._entering_scale(value) / (area * self._scale(draft)) for value in draft.taken)

    def _range(self, draft: Draft) -> tuple[int, int]:
        """The least and the greatest code of ours."""
        steps = draft.steps
        assert steps is not None
        positive = self.lowered.network.network.never_negative(draft.layer.name)
        return (0 if positive else steps.lowest - steps.zero), steps.highest - steps.zero

    # What fits

    def network(self) -> QuantisedNetwork:
        layers, joins = [], dict[str, Join]()
        for draft in self.drafts:
            if isinstance(draft.layer, Multiplying):
                layers.append(self._layer(draft, draft.layer))
            elif isinstance(draft.layer, Add | AveragePool):
                lowest, highest = self._range(draft)
                factors = self._factors(draft)
                joins[draft.layer.name] = (
                    Addition.of((factors[0], factors[1]), highest, lowest)
                    if isinstance(draft.layer, Add)
                    else Requantisation.of(factors[0], highest, lowest)
                )
        network = self.lowered.network.network
        return QuantisedNetwork(network, tuple(layers), self.lowered.network.name, joins)

    def _layer(self, draft: Draft, layer: Multiplying) -> QuantisedLayer:
        assert draft.codes is not None and draft.bias is not None
        unit, entering = self._unit(draft), self._entering(draft.taken[0])
        requantisation = None
        if draft is not self.last:
            lowest, highest = self._range(draft)
            requantisation = Requantisation.of(unit / self._scale(draft), highest, lowest, layer.absolute)
        codes = draft.codes.codes
        return QuantisedLayer(
            layer,
            codes.reshape(self.lowered.network.network.weight_shape(layer)),
            np.rint(draft.bias / unit),
            requantisation,
            Operands(activation_signed=entering is not None and entering.zero != entering.lowest),
            0,
            self._entering_scale(draft.taken[0]),
            float(draft.codes.scales[0]),
        )
