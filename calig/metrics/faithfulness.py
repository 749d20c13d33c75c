"""Does the model's answer follow the attribution? Comprehensiveness, sufficiency, deletion and insertion curves.

Sources: DeYoung et al. 2020 (ERASER: comprehensiveness, sufficiency, their average over bins, AOPC), Petsiuk et al. 2018
(RISE: deletion and insertion). p is the probability of one class, fixed before anything is removed. Curves are arrays
`… 2 points`: [deletion, insertion] at the points 0, fractions…, 1, where deletion at 0 and insertion at 1 are p(x),
deletion at 1 and insertion at 0 are p(everything masked). All measures read the same scored points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calig.metrics.perturbation import BoolArray, FloatArray, IntArray, PerturbedInput, Scorer, Source, curve_points, top_masks

DELETION, INSERTION = 0, 1


@dataclass(frozen=True, eq=False)
class AttributedRow:
    """One row to score: its source, attributions `orders content` (any number of methods), and the class p is of."""

    source: Source
    attributions: FloatArray
    class_index: int


def perturbation_curves(rows: Sequence[AttributedRow], *, fractions: Sequence[float], scorer: Scorer) -> list[FloatArray]:
    """Curves `orders 2 points` of each row, from a single call of `scorer`; equal inputs of a row are scored once."""
    points = curve_points(fractions)
    inputs: list[PerturbedInput] = []
    places: list[IntArray] = []
    for row in rows:
        unique, inverse = np.unique(_removed(row.attributions, points), axis=0, return_inverse=True)
        places.append(len(inputs) + inverse.reshape(-1))
        inputs.extend(row.source.without(mask) for mask in unique)
    probabilities = scorer(inputs) if inputs else np.empty((0, 0))
    shape = (-1, 2, len(points))
    return [probabilities[place, row.class_index].reshape(shape) for row, place in zip(rows, places, strict=True)]


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


def area_under_curve(curves: FloatArray, *, fractions: Sequence[float]) -> FloatArray:
    """Trapezoid area over 0…1 of each curve: deletion lower is better, insertion higher. `… 2 points` → `… 2`."""
    return np.asarray(np.trapezoid(curves, curve_points(fractions), axis=-1))
