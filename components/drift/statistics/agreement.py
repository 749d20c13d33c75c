"""Diffuse statistics of one example's paired attributions: agreement of order, top words, signs, mass (deploy/docs/method.md)."""

from __future__ import annotations

import numpy as np
from scipy import stats

from components.drift.pairing import PairedExample
from components.drift.statistics.registry import DriftStatistic, Limit, NoiseRange
from components.table import units
from components.table.units import Floats
from schemas.base import Direction


def rank_correlation(a: Floats, b: Floats) -> Floats:
    """Spearman's correlation over the last axis; NaN with fewer than three units or no variation."""
    if a.shape[-1] < 3:
        return np.full(a.shape[:-1], np.nan)
    ranks = stats.rankdata(np.stack([a, b]), axis=-1)  # both at once: the call costs more than the few units
    centred = [r - r.mean(-1, keepdims=True) for r in ranks]
    spread = np.sqrt((centred[0] ** 2).sum(-1) * (centred[1] ** 2).sum(-1))
    return np.where(spread > 0, (centred[0] * centred[1]).sum(-1) / np.where(spread > 0, spread, 1.0), np.nan)


def rank_agreement(example: PairedExample) -> float | None:
    """Spearman correlation of the words' shares; higher is better; None with fewer than three words or no variation."""
    value = float(rank_correlation(example.reference, example.candidate))
    return None if np.isnan(value) else value


def top_k_overlap(example: PairedExample, k: int) -> float | None:
    """Jaccard overlap of the k words with the largest absolute share on each side; higher is better."""
    if len(example.units) <= k:
        return None
    tops = [set(np.argsort(-np.abs(shares), kind="stable")[:k]) for shares in (example.reference, example.candidate)]
    return len(tops[0] & tops[1]) / len(tops[0] | tops[1])


def sign_flip(example: PairedExample) -> float | None:
    """Share of the attribution mass (mean of both sides) on words whose sign changed; lower is better."""
    mass = (np.abs(example.reference) + np.abs(example.candidate)) / 2
    return float(mass[example.reference * example.candidate < 0].sum() / mass.sum()) if mass.sum() > 0 else None


def mass_ratio(example: PairedExample) -> float | None:
    """Natural log of the ratio of total absolute attribution, candidate over reference; 0 is no change."""
    a, b = example.mass
    return float(np.log(b / a)) if a > 0 and b > 0 else None


def reason_change(example: PairedExample) -> float:
    """The share of the reasons that moved, 0 … 1; lower is better."""
    return float(units.reason_change(example.reference, example.candidate))


_PRIOR = (
    "stated prior, training noise not measured for this model: reseeded pairs of that recipe agree at Spearman 0.85 … 0.87 "
    "and flip the sign of 0.03 … 0.04 of the mass; a planted shortcut gives 0.71 … 0.79 and 0.05 … 0.14"
)
#: Honest pairs that it was seen on.
_N_PRIOR = 3

STATISTICS = (
    DriftStatistic(
        name="rank agreement",
        measure=lambda e, _: rank_agreement(e),
        direction=Direction.HIGHER,
        definition="Spearman correlation of word attributions, mean over examples",
        limit=Limit("rank_agreement", _PRIOR, _N_PRIOR),
        noise=NoiseRange(best=1.0, worst=-1.0),
    ),
    DriftStatistic(
        name="top-k overlap",
        measure=lambda e, config: top_k_overlap(e, config.top_k),
        direction=Direction.HIGHER,
        definition="Jaccard overlap of the {top_k} words with the largest attribution, mean over examples",
    ),
    DriftStatistic(
        name="sign-flip rate",
        measure=lambda e, _: sign_flip(e),
        direction=Direction.LOWER,
        definition="share of attribution mass on words whose sign changed, mean over examples",
        limit=Limit("sign_flip", _PRIOR, _N_PRIOR),
        noise=NoiseRange(best=0.0, worst=1.0),
    ),
    DriftStatistic(
        name="mass ratio",
        measure=lambda e, _: mass_ratio(e),
        direction=Direction.REPORT,
        definition="log ratio of total |attribution|, candidate over reference, mean over examples",
    ),
    DriftStatistic(
        name="reason change",
        measure=lambda e, _: reason_change(e),
        direction=Direction.LOWER,
        definition="half the L1 distance of the words' signed shares, mean over examples",
    ),
)
