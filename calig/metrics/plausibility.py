"""Does an attribution mark what people marked? Against human rationales, beside the agreement among annotators, its bound.

After DeYoung et al. 2020 (ERASER), section 4 and table 2. Attributions and rationales are over the content tokens of one row:
`content`; `masks` are `annotators content`: which of them each annotator marked. Only attributions toward the class that the
rationale argues for can be compared; that is the caller's to see to.
"""

from __future__ import annotations

from itertools import combinations, groupby
from typing import NamedTuple

import numpy as np

from calig.metrics.perturbation import BoolArray, FloatArray, ranks


class HumanCeiling(NamedTuple):
    """People against people, 0 to 1, higher: they agree more. NaN with fewer than two annotators, or when none marks anything."""

    auprc: float
    token_f1: float
    span_f1: float


def majority(masks: BoolArray) -> BoolArray:
    """Which tokens more than half of the annotators mark, `content`: ERASER compares with the majority vote per token.

    Of two annotators both must mark a token; of one, the mask itself.
    """
    return np.asarray(2 * masks.sum(axis=0) > len(masks))


def human_ceiling(masks: BoolArray) -> HumanCeiling:
    """The plausibility measures with a person in the attribution's place.

    auprc: the share of the others that mark each token as the attribution, against each annotator's mask; mean over the
    annotators that mark something. token_f1, span_f1: mask against mask, mean over the pairs of which one marks something.
    Somebody who marks nothing where another does agrees with them not at all: 0.
    """
    nothing = HumanCeiling(np.nan, np.nan, np.nan)
    if len(masks) < 2 or not masks.any():
        return nothing
    pairs = [(a, b) for a, b in combinations(masks, 2) if a.any() or b.any()]
    areas = [_against_others(masks, index) for index, mask in enumerate(masks) if mask.any()]
    tokens = [2 * float((a & b).sum()) / float(a.sum() + b.sum()) for a, b in pairs]
    spans = [match_f1(a, b) for a, b in pairs]
    return HumanCeiling(*(float(np.mean(values)) for values in (areas, tokens, spans)))


def _against_others(masks: BoolArray, index: int) -> float:
    """AUPRC of the others' votes against one annotator; 0 when the others mark nothing: they name none of the tokens."""
    votes = np.delete(masks, index, axis=0).mean(axis=0)
    return area_under_precision_recall(votes, masks[index]) if votes.any() else 0.0


#: Two spans match when they share more than this part of their union.
_MATCH = 0.5


def area_under_precision_recall(attribution: FloatArray, rationale: BoolArray) -> float:
    """AUPRC: area under precision over recall while the threshold falls; higher is better. Trapezoids, as ERASER has them.

    NaN when the rationale marks nothing: no order of tokens could find it.
    """
    if not rationale.any():
        return float("nan")
    order = np.argsort(-attribution, kind="stable")
    last_of_ties = np.append(np.diff(attribution[order]) != 0, True)
    found = np.cumsum(rationale[order])[last_of_ties]
    taken = np.flatnonzero(last_of_ties) + 1
    recall, precision = np.append(0.0, found / rationale.sum()), np.append(1.0, found / taken)
    return float(np.trapezoid(precision, recall))


def token_f1(attribution: FloatArray, rationale: BoolArray) -> float:
    """F1 of as many top tokens as the rationale has; higher is better. Precision and recall are then the same number.

    NaN when the rationale marks nothing.
    """
    if not rationale.any():
        return float("nan")
    return float((_top(attribution, rationale) & rationale).sum() / rationale.sum())


def span_f1(attribution: FloatArray, rationale: BoolArray) -> float:
    """F1 of runs of top tokens against runs of the rationale; higher is better.

    As many top tokens as the rationale has. A run counts as found when its intersection over union with a run of the other
    side exceeds one half. NaN when the rationale marks nothing.
    """
    if not rationale.any():
        return float("nan")
    return match_f1(_top(attribution, rationale), rationale)


def match_f1(mask: BoolArray, other: BoolArray) -> float:
    """F1 of the runs in `mask` against the runs in `other` (`content`), found as in `span_f1`; symmetric. 0 when one is empty."""
    predicted, marked = _spans(mask), _spans(other)
    if not predicted or not marked:
        return 0.0
    matches = np.array([[_overlap(p, m) > _MATCH for m in marked] for p in predicted])
    precision, recall = matches.any(1).mean(), matches.any(0).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _top(attribution: FloatArray, rationale: BoolArray) -> BoolArray:
    return np.asarray(ranks(attribution) < rationale.sum())


def _spans(mask: BoolArray) -> list[tuple[int, int]]:
    """Runs of marked tokens, end exclusive."""
    runs = [list(run) for marked, run in groupby(range(len(mask)), key=lambda i: bool(mask[i])) if marked]
    return [(run[0], run[-1] + 1) for run in runs]


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Intersection over union."""
    shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / (a[1] - a[0] + b[1] - b[0] - shared)
