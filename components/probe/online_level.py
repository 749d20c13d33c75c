"""Level of the next test in a sequence of tests: online control of the false discovery rate by LORD++.

Source: Ramdas, Yang, Wainwright and Jordan, "Online control of the false discovery rate with decaying memory", NeurIPS 2017
(arXiv 1710.00499): LORD++, with the sequence γ that Javanmard and Montanari (Annals of Statistics 46, 2018) give for LORD.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from calig.metrics.perturbation import FloatArray
from components.probe.statistics import BY_RULE
from schemas.base import Severity, Threshold
from schemas.probe import MetamorphicReport, ProbeLevel, ProbeReport

#: γ sums to 1 at most; Javanmard and Montanari round it so.
_NORMALISER = 0.0722

#: Share of the level that the first tests may spend before anything was found, W₀ / α: the half that the paper's authors use.
_INITIAL_WEALTH = 0.5


def lord_level(failed: Sequence[bool], level: float, floor: float) -> float:
    """Level of the test after those of `failed`, between `floor` and `level`.

    LORD++ with α = `level` and W₀ = α / 2, for test t after the failures τ₁ < τ₂ < … < t:

        α_t = W₀ γ_t + (α − W₀) γ_{t − τ₁} + α Σ_{j ≥ 2} γ_{t − τ_j}

    Args:
        failed: whether each earlier test rejected "nothing but noise", oldest first.
        level: the most that the level may be, and the false discovery rate that LORD++ aims at; in (0, 1).
        floor: the least that it may be, whatever came before. `level` wins where it is lower.
    """
    after = len(failed) + 1 - (np.flatnonzero(np.asarray(failed, dtype=bool)) + 1)
    found = decay(after)
    wealth = _INITIAL_WEALTH * level
    spent = wealth * float(decay(len(failed) + 1)) + level * found.sum() - wealth * found[:1].sum()
    return min(level, max(floor, float(spent)))


def decay(after: ArrayLike) -> FloatArray:
    """γ_j for each j ≥ 1 of `after`: 0.0722 log(max(j, 2)) / (j exp √log j), what a test adds to the level j tests later."""
    j = np.asarray(after, dtype=float)
    return np.asarray(_NORMALISER * np.log(np.maximum(j, 2.0)) / (j * np.exp(np.sqrt(np.log(j)))))


def with_level(report: ProbeReport, level: ProbeLevel) -> ProbeReport:
    """The report with the level that was in force, which the birth certificates of its failing limits name."""
    rows = report.metamorphic
    named = None if rows is None else rows.model_copy(update=_named(rows, level))
    return report.model_copy(update={"level": level, "metamorphic": named} | _named(report, level))


def _named(part: ProbeReport | MetamorphicReport, level: ProbeLevel) -> dict[str, tuple[Threshold, ...]]:
    """The thresholds, those that follow from the level with where it comes from."""
    return {"thresholds": tuple(_with_source(one, level) if _by_level(one) else one for one in part.thresholds)}


def _by_level(threshold: Threshold) -> bool:
    """Whether a limit follows from `probe.level`: it fails a version, and nobody set it by hand."""
    return threshold.severity is Severity.CRITICAL and threshold.set_by == BY_RULE


def _with_source(threshold: Threshold, level: ProbeLevel) -> Threshold:
    return threshold.model_copy(update={"source": f"{threshold.source}; {level.source}"})
