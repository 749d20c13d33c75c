"""A row's attribution beside what people marked as the reason, and beside how far people agree among themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from calig.metrics.agreement import HumanCeiling, human_ceiling, majority
from calig.metrics.perturbation import BoolArray, FloatArray
from calig.metrics.plausibility import area_under_precision_recall, span_f1, token_f1
from components.table.orientation import class_of

_MEASURES = {"auprc": area_under_precision_recall, "token_f1": token_f1, "span_f1": span_f1}
#: Columns of the per-row table: agreement with the human rationale, and the same among people.
PLAUSIBILITY = (*(f"plausibility_{name}" for name in _MEASURES), *(f"human_ceiling_{name}" for name in HumanCeiling._fields))


def plausibility(row: Mapping[str, Any], attribution: FloatArray) -> dict[str, float]:
    """The entries in PLAUSIBILITY of a row with `attribution` (`content`; empty: it has none).

    NaN where there is nothing to compare: no rationale, or an attribution toward another class than the gold one, for which the
    rationale argues. Of several rationales the majority vote per token counts (ERASER); the ceiling is of the same rows.
    """
    nothing = dict.fromkeys(PLAUSIBILITY, np.nan)
    masks = _masks(row)
    if attribution.size == 0 or len(masks) == 0 or row["label"] not in {None, class_of(row)}:
        return nothing
    marked = majority(masks)
    if not marked.any():
        return nothing
    measured = [measure(attribution, marked) for measure in _MEASURES.values()]
    return dict(zip(PLAUSIBILITY, [*measured, *human_ceiling(masks)], strict=True))


def _masks(row: Mapping[str, Any]) -> BoolArray:
    """Which content tokens share a character with each annotator's rationale, `annotators content`."""
    single = [] if row["rationale"] is None else [row["rationale"]]
    content = np.array(row["content"], dtype=bool)
    starts, ends = np.array(row["starts"])[content], np.array(row["ends"])[content]
    return np.array([_hit(spans, starts, ends) for spans in row["rationales"] or single], dtype=bool)


def _hit(spans: list[dict[str, int]], starts: FloatArray, ends: FloatArray) -> BoolArray:
    hits = [(starts < span["end"]) & (ends > span["start"]) for span in spans]
    return np.any(hits, axis=0) if hits else np.zeros(len(starts), dtype=bool)
