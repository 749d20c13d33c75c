"""Outputs of a regression: how far they typically lie apart, and when one of them counts as another answer."""

from __future__ import annotations

import numpy as np

from calig.metrics.perturbation import FloatArray

#: A prediction counts as changed when it moved by more than this share of a typical deviation. Were all predictions moved so far,
#: and were they distributed normally, they would lose 11 % of R².
MOVED = 0.5

#: Outputs that lie closer together than this share of their size are one number: float32 has no more digits after a few layers.
_RESOLUTION = 1e-5


def typical_deviation(outputs: FloatArray) -> float:
    """Median distance of the outputs from their median, in the unit of the output: what a typical decision is for classes.

    A regression has no border between answers, and its zero is anywhere: |f(x)|, or |f(x) − f(x')| from a baseline that the model
    answers somehow, would measure that. NaN without outputs, 0 where half of them are one number.
    """
    if np.size(outputs) == 0:
        return float("nan")
    deviation = float(np.median(np.abs(outputs - np.median(outputs))))
    return deviation if deviation > _RESOLUTION * float(np.abs(outputs).max()) else 0.0
