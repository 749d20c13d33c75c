"""Confidence intervals of means over rows, and random orders as a control for every attribution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calig.metrics.perturbation import FloatArray

# Resampled values held at once; bounds memory, changes no number.
_BLOCK = 4_000_000


class MeanInterval(NamedTuple):
    """A mean over `n` rows and its percentile bootstrap interval, in the values' own unit."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap_mean(values: FloatArray, *, draws: int, confidence: float, seed: int) -> MeanInterval:
    """Mean of `values` (`rows`) with a seeded percentile bootstrap interval (Efron 1979); rows are resampled whole.

    Paired comparisons pass the rows' differences. `low` and `high` are the (1 ∓ confidence) / 2 quantiles of `draws`
    resampled means. ValueError when there are no rows or a value is not finite.
    """
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("the bootstrap needs at least one row, and finite values")
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(_resampled_means(values, draws, seed), [tail, 1.0 - tail])
    return MeanInterval(float(values.mean()), float(low), float(high), values.size)


def _resampled_means(values: FloatArray, draws: int, seed: int) -> FloatArray:
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK // values.size)
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    return np.concatenate([values[random.integers(values.size, size=(size, values.size))].mean(axis=1) for size in sizes])


def random_attributions(n_content: int, *, draws: int, seed: int, row: int) -> FloatArray:
    """`draws content` attributions without information, the control; they depend on (seed, row) alone, not on shards."""
    return np.random.default_rng([seed, row]).random((draws, n_content))
