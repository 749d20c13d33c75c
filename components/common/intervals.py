"""Uncertainty: a mean over rows with its confidence interval, and the size of a change that a test would find."""

from __future__ import annotations

from scipy import stats

from calig.metrics.perturbation import FloatArray
from calig.metrics.statistics import bootstrap_mean
from schemas.base import Interval
from schemas.config import QualityConfig

#: Below this many rows it is luck which of two explanations or fusions is ahead: nothing is said about it.
MIN_ROWS = 30

#: Chance with which a change of the detectable size is found.
POWER = 0.8

#: One row says nothing about the spread: its interval would have no width.
FEWEST = 2


def mean_and_interval(values: FloatArray, config: QualityConfig) -> tuple[float, Interval]:
    """The mean of `values` (`rows`, finite, at least one) and its seeded percentile bootstrap interval, in their unit."""
    mean = bootstrap_mean(values, draws=config.bootstrap_draws, confidence=config.confidence, seed=config.seed)
    return mean.mean, Interval(low=mean.low, high=mean.high, level=config.confidence)


def detectable(least: float, limit: float, error: float) -> float:
    """Size of a change that fires with chance `POWER`: above `least` and above `limit` errors, the error being normal."""
    return max(least, limit * error) + float(stats.norm.ppf(POWER)) * error
