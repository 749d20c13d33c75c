"""Agreement of annotators on a rationale: the bound on any attribution (DeYoung et al. 2020, ERASER, table 2).

`masks` are `annotators content`: which content tokens of one row each annotator marked.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from calig.metrics.perturbation import BoolArray
from calig.metrics.plausibility import area_under_precision_recall, match_f1


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
