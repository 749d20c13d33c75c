"""Does the model's answer follow the attribution? Comprehensiveness, sufficiency, deletion and insertion; patch perturbation.

Sources: DeYoung et al. 2020 (ERASER: comprehensiveness, sufficiency, their average over bins, AOPC), Petsiuk et al. 2018
(RISE: deletion and insertion). p is the probability of one class, fixed before anything is removed. Curves are arrays
`… 2 points`: [deletion, insertion] at the points 0, fractions…, 1, where deletion at 0 and insertion at 1 are p(x),
deletion at 1 and insertion at 0 are p(everything masked). All measures read the same scored points.

Positive and negative perturbation (Chefer et al. 2021, section 4) ask whether the answer is kept while patches are removed.
Positive: the most relevant content goes first, and a good attribution loses the answer soon. Negative: the least relevant goes
first, and a good one keeps it long. The answer is kept when the explained class has the largest probability: for predicted
classes this asks whether the prediction stands, for gold classes whether it is right, which are the paper's two variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calig.metrics.perturbation import BoolArray, FloatArray, Scorer, Source, curve_points, score_removals, top_masks

DELETION, INSERTION = 0, 1

#: Probabilities below this are rounding.
_SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class AttributedRow:
    """One row to score: its source, attributions `orders content` (any number of methods), and the class p is of."""

    source: Source
    attributions: FloatArray
    class_index: int


def perturbation_curves(rows: Sequence[AttributedRow], *, fractions: Sequence[float], scorer: Scorer) -> list[FloatArray]:
    """Curves `orders 2 points` of each row, from a single call of `scorer`; equal inputs of a row are scored once."""
    points = curve_points(fractions)
    removals = [_removed(row.attributions, points) for row in rows]
    scored = score_removals([row.source for row in rows], removals, scorer)
    return [p[:, row.class_index].reshape(-1, 2, len(points)) for row, p in zip(rows, scored, strict=True)]


def _removed(attributions: FloatArray, points: Sequence[float]) -> BoolArray:
    """What is removed, `(orders · 2 · points) content`: the top for deletion, all but the top for insertion."""
    tops = np.stack([top_masks(attribution, points) for attribution in attributions])
    return np.stack([tops, ~tops], axis=1).reshape(-1, attributions.shape[1])


def comprehensiveness(curves: FloatArray) -> FloatArray:
    """p(x) − p(x without the top k), mean over the fractions (AOPC); higher is better. `… 2 points` → `…`."""
    removed: FloatArray = curves[..., DELETION, :]
    return np.asarray(removed[..., 0] - removed[..., 1:-1].mean(axis=-1))


def sufficiency(curves: FloatArray) -> FloatArray:
    """p(x) − p(only the top k), mean over the fractions (AOPC); lower is better. `… 2 points` → `…`."""
    kept: FloatArray = curves[..., INSERTION, :]
    return np.asarray(kept[..., -1] - kept[..., 1:-1].mean(axis=-1))


def difference(curves: FloatArray) -> FloatArray:
    """Comprehensiveness − sufficiency: the one number methods are compared by; higher is better."""
    return comprehensiveness(curves) - sufficiency(curves)


def log_odds(curves: FloatArray) -> FloatArray:
    """log p(x without the top k) − log p(x), mean over the fractions (Chen et al. 2019); lower is better. `… 2 points` → `…`."""
    log: FloatArray = np.log(np.maximum(curves[..., DELETION, :], _SMALLEST))
    return np.asarray(log[..., 1:-1].mean(axis=-1) - log[..., 0])


def normalised_pair(curves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Normalised sufficiency and comprehensiveness (Carton et al. 2020), both in [0, 1], higher is better. `… 2 points` → `…`.

    With S = 1 − max(0, p(x) − p(only the top k)) and S₀ the same for the input without content: NS = (S − S₀) / (1 − S₀) and
    NC = max(0, p(x) − p(x without the top k)) / (1 − S₀), mean over the fractions. NaN where the content does not raise p: there
    is nothing to be sufficient for.
    """
    p = curves[..., DELETION, :1]
    room = np.maximum(0.0, p - curves[..., INSERTION, :1])
    room = np.where(room > _SMALLEST, room, np.nan)
    missing = np.maximum(0.0, p - curves[..., INSERTION, 1:-1])
    lost = np.maximum(0.0, p - curves[..., DELETION, 1:-1])
    sufficient, comprehensive = (np.clip(share, 0.0, 1.0).mean(axis=-1) for share in (1.0 - missing / room, lost / room))
    return np.asarray(sufficient), np.asarray(comprehensive)


def area_under_curve(curves: FloatArray, *, fractions: Sequence[float]) -> FloatArray:
    """Trapezoid area over 0…1 of each curve: deletion lower is better, insertion higher. `… 2 points` → `… 2`."""
    return np.asarray(np.trapezoid(curves, curve_points(fractions), axis=-1))


#: Shares of the content removed: from 10 % to 90 %, as in the paper.
REMOVED_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

POSITIVE, NEGATIVE = 0, 1


def perturbation_aucs(rows: Sequence[AttributedRow], *, scorer: Scorer) -> list[FloatArray]:
    """Areas `orders 2` of each row, [positive, negative], from a single call of `scorer`; lower and higher is better.

    The trapezoid area under "answer kept" (0 or 1) over REMOVED_SHARES, as a share of its largest value, 0.8: from 0 to 1. The
    paper's figures are means over rows of the area itself: 0.8 times these.
    """
    removals = [_removals(row.attributions) for row in rows]
    scored = score_removals([row.source for row in rows], removals, scorer)
    return [_areas(p.argmax(axis=1) == row.class_index) for row, p in zip(rows, scored, strict=True)]


def _removals(attributions: FloatArray) -> BoolArray:
    """`(orders · 2 · fractions) content`; ties go to the earlier position in both directions."""
    masks = [[top_masks(sign * attribution, REMOVED_SHARES) for sign in (1, -1)] for attribution in attributions]
    return np.array(masks).reshape(-1, attributions.shape[1])


def _areas(kept: BoolArray) -> FloatArray:
    area = np.trapezoid(kept.reshape(-1, 2, len(REMOVED_SHARES)).astype(np.float64), REMOVED_SHARES, axis=-1)
    return np.asarray(area / (REMOVED_SHARES[-1] - REMOVED_SHARES[0]))
