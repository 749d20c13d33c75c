"""Does a map depend on what the model learned? Agreement with the map after weights were randomised (Adebayo et al. 2018)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calig.metrics.perturbation import FloatArray

#: With fewer tokens an order says nothing: two are always fully correlated.
_FEWEST = 3


class Agreement(NamedTuple):
    """Spearman correlations of two maps: of the signed values, and of their sizes. Both should fall to about 0."""

    signed: float
    absolute: float


def agreement(original: FloatArray, randomised: FloatArray) -> Agreement:
    """How much of a map's order is left after randomisation, with its signs and without; lower is better. Both `content`.

    Without signs too: a randomised head may turn a map around and leave it otherwise as it was.
    """
    return Agreement(rank_correlation(original, randomised), rank_correlation(np.abs(original), np.abs(randomised)))


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's ρ, −1 … 1, equal values sharing their mean rank.

    NaN with fewer than three values or when one side is constant.
    """
    if a.size < _FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_mean_ranks(a), _mean_ranks(b))[0, 1])


def _mean_ranks(values: FloatArray) -> FloatArray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])
