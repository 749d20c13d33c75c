"""A mean over rows and its confidence interval, as the settings want it: one bootstrap for quality and drift alike."""

from __future__ import annotations

from calig.metrics.perturbation import FloatArray
from calig.metrics.statistics import bootstrap_mean
from schemas.base import Interval
from schemas.config import QualityConfig

#: Below this many rows it is luck which of two explanations or fusions is ahead: nothing is said about it.
MIN_ROWS = 30

#: One row says nothing about the spread: its interval would have no width.
FEWEST = 2


def mean_and_interval(values: FloatArray, config: QualityConfig) -> tuple[float, Interval]:
    """The mean of `values` (`rows`, finite, at least one) and its seeded percentile bootstrap interval, in their unit."""
    mean = bootstrap_mean(values, draws=config.bootstrap_draws, confidence=config.confidence, seed=config.seed)
    return mean.mean, Interval(low=mean.low, high=mean.high, level=config.confidence)
