"""From logits to the probabilities that a model's users read."""

from __future__ import annotations

import numpy as np

from calig.metrics.perturbation import FloatArray


def class_probabilities(logits: FloatArray, *, multi_label: bool) -> FloatArray:
    """Probabilities of logits `… classes`: softmax, or with several labels per input the sigmoid of each."""
    if multi_label:
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)))  # the sigmoid, without overflow
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))
