"""Choosing how context is fused, by comprehensiveness − sufficiency on a slice of the rows: scoring only, no gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calig.metrics.faithfulness import AttributedSource, difference, perturbation_curves
from calig.metrics.perturbation import FloatArray, Perturbation, Scorer
from components.common.intervals import MIN_ROWS, mean_and_interval
from components.quality.scores.table import explained_class, is_scorable, source_of
from schemas.config import QualityConfig
from schemas.fusion import FusionCandidate, FusionChoice, FusionSettings


def choose_fusion(
    rows: Sequence[tuple[dict[str, Any], FloatArray]],
    fusions: Sequence[FusionSettings],
    default: FusionSettings,
    *,
    labels: Sequence[str],
    scorer: Scorer,
    config: QualityConfig,
    perturbation: Perturbation,
) -> FusionChoice:
    """The fusion with the largest comprehensiveness − sufficiency, if it beats the default beyond the interval; else the default.

    A choice among many on few rows mostly finds noise: a version should not change its method for a lead that another slice
    would not show.

    Args:
        rows: table rows, each with its attributions under `fusions`, `fusions seq`.
        fusions: the grid; `default` is one of them.
        labels: the model's classes in logit order.
    """
    scorable = [(row, values) for row, values in rows if is_scorable(row)]
    ids = tuple(row["id"] for row, _ in scorable)
    if len(scorable) < MIN_ROWS:
        reason = f"only {len(scorable)} rows to choose by, {MIN_ROWS} are needed: the default is kept"
        return FusionChoice(fusion=default, reason=reason, slice_ids=ids)
    scored = _differences(scorable, labels, scorer, config, perturbation)
    candidates = _candidates(scored, fusions, fusions.index(default), config)
    best = max(candidates, key=lambda candidate: candidate.difference)
    ahead = best.margin_interval.low > 0.0
    return FusionChoice(
        fusion=best.fusion if ahead else default, reason=_reason(best, ahead), slice_ids=ids, candidates=tuple(candidates)
    )


def _differences(
    rows: Sequence[tuple[dict[str, Any], FloatArray]],
    labels: Sequence[str],
    scorer: Scorer,
    config: QualityConfig,
    perturbation: Perturbation,
) -> FloatArray:
    """Comprehensiveness − sufficiency, `rows fusions`."""
    attributed = [
        AttributedSource(
            source_of(row, perturbation), values[:, np.array(row["content"], dtype=bool)], explained_class(row, labels)
        )
        for row, values in rows
    ]
    return np.stack([difference(c) for c in perturbation_curves(attributed, fractions=config.fractions, scorer=scorer)])


def _candidates(
    scored: FloatArray, fusions: Sequence[FusionSettings], default: int, config: QualityConfig
) -> list[FusionCandidate]:
    margins = scored - scored[:, [default]]
    found = []
    for i, fusion in enumerate(fusions):
        margin, interval = mean_and_interval(margins[:, i], config)
        found.append(
            FusionCandidate(fusion=fusion, difference=float(scored[:, i].mean()), margin=margin, margin_interval=interval)
        )
    return found


def _reason(best: FusionCandidate, ahead: bool) -> str:
    interval = best.margin_interval
    lead = f"{best.margin:+.4f} ({100 * interval.level:g} % interval {interval.low:+.4f} to {interval.high:+.4f})"
    if ahead:
        return f"it leads the default by {lead} in comprehensiveness − sufficiency"
    if best.margin == 0.0:
        return "no other fusion has a larger comprehensiveness − sufficiency than the default"
    return f"the default is kept: the best other fusion leads by {lead}, which another slice might not show"
