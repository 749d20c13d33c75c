"""Outputs of a regression: how far they typically lie apart, and when one of them counts as another answer."""

from __future__ import annotations

import numpy as np

from calig.metrics.perturbation import FloatArray

#: A prediction counts as changed when it moved by more than this share of a typical deviation: less than the way from the middle of
#: the outputs to a typical row leads past. Were all outputs moved so far, and were they normal, they would have lost 11 % of R².
MOVED = 0.5


def typical_deviation(outputs: FloatArray) -> float:
    """Median distance of the outputs from their median, in the unit of the output: what a decision's size is for classes.

    A regression has no border between answers, and its zero is anywhere: |f(x)|, or |f(x) − f(x')| from a baseline that the model
    answers somehow, would measure that. NaN without outputs, 0 where half of them are one number.
    """
    if np.size(outputs) == 0:
        return float("nan")
    return float(np.median(np.abs(outputs - np.median(outputs))))
