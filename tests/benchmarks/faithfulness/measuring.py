"""Every method's measures on a row: one scorer, one perturbation, one class."""

from __future__ import annotations

import numpy as np

from calig.inputs import EncodedInput
from calig.metrics.faithfulness import (
    AttributedRow,
    area_under_curve,
    comprehensiveness,
    difference,
    perturbation_curves,
    sufficiency,
)
from calig.metrics.perturbation import BoolArray, FloatArray, ImageSource, Scorer, Source, TextSource
from calig.metrics.plausibility import area_under_precision_recall, span_f1, token_f1
from schemas.release import Example
from tests.benchmarks.faithfulness.methods import ExplainedRow

FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)

PLAUSIBILITY = {"auprc": area_under_precision_recall, "token_f1": token_f1, "span_f1": span_f1}

#: What is measured of every method, by name; NaN where a row has nothing to measure.
Measures = dict[str, dict[str, float]]


def measure(row: ExplainedRow, orders: dict[str, FloatArray], *, scorer: Scorer, replacement_id: int | None) -> Measures:
    """One row's measures by method; `orders`: attributions `orders content` by method."""
    source = source_of(row.example, row.encoded, replacement_id)
    attributed = AttributedRow(source, np.concatenate(list(orders.values())), row.class_index)
    (curves,) = perturbation_curves([attributed], fractions=FRACTIONS, scorer=scorer)
    faithful, plausible = _of_curves(orders, curves), _plausibility(row, orders)
    return {method: faithful[method] | plausible[method] for method in orders}


def _of_curves(of_row: dict[str, FloatArray], curves: FloatArray) -> dict[str, dict[str, float]]:
    """Mean over a method's orders."""
    areas = area_under_curve(curves, fractions=FRACTIONS)
    values = {
        "comprehensiveness": comprehensiveness(curves),
        "sufficiency": sufficiency(curves),
        "difference": difference(curves),
        "deletion_auc": areas[:, 0],
        "insertion_auc": areas[:, 1],
    }
    starts = np.cumsum([len(orders) for orders in of_row.values()])[:-1]
    split = {measure: np.split(array, starts) for measure, array in values.items()}
    return {method: {m: float(split[m][i].mean()) for m in values} for i, method in enumerate(of_row)}


def _plausibility(row: ExplainedRow, of_row: dict[str, FloatArray]) -> dict[str, dict[str, float]]:
    """Against the row's rationale, which argues for the gold class: NaN when another class was explained."""
    comparable = row.example.rationale is not None and row.example.label == row.attribution.target
    content = np.array(row.attribution.content)
    marked = _marked(row)[content] if comparable else np.zeros(int(content.sum()), dtype=bool)
    return {
        method: {name: float(np.mean([m(order, marked) for order in orders])) for name, m in PLAUSIBILITY.items()}
        for method, orders in of_row.items()
    }


def _marked(row: ExplainedRow) -> BoolArray:
    """Which tokens share a character with the rationale, `seq`."""
    starts, ends = np.array(row.attribution.starts), np.array(row.attribution.ends)
    hits = [(starts < end) & (ends > start) for start, end in row.example.rationale or ()]
    return np.any(hits, axis=0) if hits else np.zeros(len(starts), dtype=bool)


def source_of(example: Example, encoded: EncodedInput, replacement_id: int | None) -> Source:
    """What can be removed from the row."""
    content = np.array(encoded.content)
    if example.image is not None:
        return ImageSource(example.image, int(content.sum()))
    if replacement_id is None:
        raise SystemExit("the benchmark's text models need a mask or a padding token")
    return TextSource(np.array(encoded.input_ids, dtype=np.int64), content, replacement_id)
