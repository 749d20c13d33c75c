"""Positive and negative perturbation of images, for CA-LIG and a random order; texts have measures of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calig.metrics.faithfulness import AttributedRow
from calig.metrics.patch_perturbation import perturbation_aucs
from calig.metrics.perturbation import FloatArray, Perturbation, Scorer
from calig.metrics.statistics import random_attributions
from components.quality.scores.table import Row, attributions_of, explained_class, is_scorable, source_of

#: Columns of the per-row table, in the order of `patch_areas`.
PATCH_COLUMNS = (
    *("positive_perturbation_auc", "negative_perturbation_auc"),
    *("positive_perturbation_auc_random", "negative_perturbation_auc_random"),
)


def patch_areas(rows: list[Row], *, labels: Sequence[str], scorer: Scorer, seed: int, perturbation: Perturbation) -> FloatArray:
    """`rows columns`, columns as in PATCH_COLUMNS; NaN for texts and for images that cannot be scored."""
    result = np.full((len(rows), len(PATCH_COLUMNS)), np.nan)
    places = [place for place, row in enumerate(rows) if row["image"] is not None and is_scorable(row)]
    attributed = [
        AttributedRow(source_of(rows[place], perturbation), _orders(rows[place], seed), explained_class(rows[place], labels))
        for place in places
    ]
    for place, areas in zip(places, perturbation_aucs(attributed, scorer=scorer), strict=True):
        result[place] = areas.reshape(-1)
    return result


def _orders(row: Row, seed: int) -> FloatArray:
    """`2 content`: CA-LIG's order and the first one of the random control."""
    own = attributions_of(row)["ca_lig"]
    return np.concatenate([own, random_attributions(own.shape[1], draws=1, seed=seed, row=row["row"])])
