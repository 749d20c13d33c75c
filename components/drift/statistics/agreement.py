"""Diffuse statistics of paired attributions, per example and then over slices of the examples (deploy/docs/method.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from components.common.intervals import mean_and_interval
from components.drift.pairing import MIN_SLICE, PairedExample, slices
from components.table import units
from schemas.base import Direction
from schemas.config import DriftConfig, QualityConfig
from schemas.drift import Statistic


def rank_agreement(example: PairedExample) -> float | None:
    """Spearman correlation of the words' shares; higher is better; None with fewer than three words or no variation."""
    a, b = example.reference, example.candidate
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(stats.spearmanr(a, b).statistic)


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


def statistics(examples: Sequence[PairedExample], config: DriftConfig, intervals: QualityConfig) -> list[Statistic]:
    """All diffuse statistics on all slices, with bootstrap intervals over the examples (the sampling noise)."""
    table = _table(config)
    return [
        _statistic(name, slice_name, members, entry, config, intervals)
        for slice_name, members in slices(examples)
        for name, entry in table.items()
    ]


_Entry = tuple[Callable[[PairedExample], float | None], Direction, Callable[[float], bool], str]


def _table(config: DriftConfig) -> dict[str, _Entry]:
    """Name → (per example, direction, what is beyond the threshold, definition)."""
    return {
        "rank agreement": (
            rank_agreement,
            Direction.HIGHER,
            lambda v: v < config.rank_agreement,
            "Spearman correlation of word attributions, mean over examples",
        ),
        "top-k overlap": (
            lambda e: top_k_overlap(e, config.top_k),
            Direction.HIGHER,
            lambda _: False,
            f"Jaccard overlap of the {config.top_k} words with the largest attribution, mean over examples",
        ),
        "sign-flip rate": (
            sign_flip,
            Direction.LOWER,
            lambda v: v > config.sign_flip,
            "share of attribution mass on words whose sign changed, mean over examples",
        ),
        "mass ratio": (
            mass_ratio,
            Direction.REPORT,
            lambda _: False,
            "log ratio of total |attribution|, candidate over reference, mean over examples",
        ),
        "reason change": (
            reason_change,
            Direction.LOWER,
            lambda _: False,
            "half the L1 distance of the words' signed shares, mean over examples",
        ),
    }


def _statistic(
    name: str, slice_name: str, members: Sequence[PairedExample], entry: _Entry, config: DriftConfig, intervals: QualityConfig
) -> Statistic:
    measure, direction, beyond, definition = entry
    values = np.array([v for v in map(measure, members) if v is not None])
    empty = Statistic(name=name, slice=slice_name, value=None, direction=direction, n=len(values), definition=definition)
    if len(values) < min(MIN_SLICE, config.min_rows):
        return empty
    mean, interval = mean_and_interval(values, intervals)
    return empty.model_copy(update={"value": mean, "interval": interval, "fires": slice_name in _JUDGED and beyond(mean)})


#: Thresholds are for these slices; the finer ones are there to look at.
_JUDGED = ("all", "same answer")
