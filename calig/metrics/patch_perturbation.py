"""Does the model keep its answer while patches are removed? Positive and negative perturbation (Chefer et al. 2021, section 4).

Positive: the most relevant content goes first, and a good attribution loses the answer soon. Negative: the least relevant goes
first, and a good one keeps it long. The answer is kept when the explained class has the largest probability: for predicted
classes this asks whether the prediction stands, for gold classes whether it is right, which are the paper's two variants.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calig.metrics.faithfulness import AttributedRow
from calig.metrics.perturbation import BoolArray, FloatArray, Scorer, score_removals, top_masks

#: Shares of the content removed: from 10 % to 90 %, as in the paper.
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

POSITIVE, NEGATIVE = 0, 1


def perturbation_aucs(rows: Sequence[AttributedRow], *, scorer: Scorer) -> list[FloatArray]:
    """Areas `orders 2` of each row, [positive, negative], from a single call of `scorer`; lower and higher is better.

    The trapezoid area under "answer kept" (0 or 1) over FRACTIONS, as a share of its largest value, 0.8: from 0 to 1. The paper's
    figures are means over rows of the area itself: 0.8 times these.
    """
    removals = [_removals(row.attributions) for row in rows]
    scored = score_removals([row.source for row in rows], removals, scorer)
    return [_areas(p.argmax(axis=1) == row.class_index) for row, p in zip(rows, scored, strict=True)]


def _removals(attributions: FloatArray) -> BoolArray:
    """`(orders · 2 · fractions) content`; ties go to the earlier position in both directions."""
    masks = [[top_masks(sign * attribution, FRACTIONS) for sign in (1, -1)] for attribution in attributions]
    return np.array(masks).reshape(-1, attributions.shape[1])


def _areas(kept: BoolArray) -> FloatArray:
    area = np.trapezoid(kept.reshape(-1, 2, len(FRACTIONS)).astype(np.float64), FRACTIONS, axis=-1)
    return np.asarray(area / (FRACTIONS[-1] - FRACTIONS[0]))
