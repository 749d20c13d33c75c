"""Every method's measures on a row: one scorer, one class, several removals; against a rationale, tokens and words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.metrics import roc_auc_score

from calig.metrics.faithfulness import (
    AttributedSource,
    area_under_curve,
    comprehensiveness,
    difference,
    perturbation_aucs,
    perturbation_curves,
    sufficiency,
)
from calig.metrics.perturbation import BoolArray, FloatArray, IntArray, Scorer
from calig.metrics.plausibility import area_under_precision_recall, span_f1, token_f1
from calig.words import word_spans
from tests.benchmarks.faithfulness.methods import ExplainedRow
from tests.benchmarks.faithfulness.removals import REPLACED, Removals

FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)


def recovery(order: FloatArray, marked: BoolArray) -> float:
    """AUROC: how probably a marked token has more than another one, ties counted half; NaN without both kinds."""
    return float(roc_auc_score(marked, order)) if marked.any() and not marked.all() else float("nan")


#: Measures against a rationale by token; and, for some, with the values of a word's tokens summed.
PLAUSIBILITY: dict[str, Callable[[FloatArray, BoolArray], float]] = {
    "auprc": area_under_precision_recall,
    "auroc": recovery,
    "token_f1": token_f1,
    "span_f1": span_f1,
}
_POOLED = {name: PLAUSIBILITY[name] for name in ("auprc", "auroc", "token_f1")}

#: Tokens of a run: methods with a budget give a long text's tokens one value for so many neighbours, and people mark phrases.
_RUN = 7

#: What is measured of every method, by name; NaN where a row has nothing to measure.
Measures = dict[str, dict[str, float]]


def measure(row: ExplainedRow, orders: dict[str, FloatArray], *, scorer: Scorer, removals: Removals) -> Measures:
    """One row's measures by method; `orders`: attributions `orders content` by method."""
    sources = removals.of_row(row.example, row.encoded)
    attributions = np.concatenate(list(orders.values()))
    rows = [AttributedSource(source, attributions, row.class_index) for source in sources.values()]
    curves = perturbation_curves(rows, fractions=FRACTIONS, scorer=scorer)
    parts = [_of_curves(orders, curve, removal) for removal, curve in zip(sources, curves, strict=True)]
    parts.append(_plausibility(row, orders) if row.example.image is None else _patch_perturbation(rows[0], orders, scorer))
    return {method: {name: value for part in parts for name, value in part[method].items()} for method in orders}


def _of_curves(of_row: dict[str, FloatArray], curves: FloatArray, removal: str) -> dict[str, dict[str, float]]:
    """Mean over a method's orders: everything for the removal that the product uses, of the others the difference."""
    areas = area_under_curve(curves, fractions=FRACTIONS)
    values = {
        "comprehensiveness": comprehensiveness(curves),
        "sufficiency": sufficiency(curves),
        "difference": difference(curves),
        "deletion_auc": areas[:, 0],
        "insertion_auc": areas[:, 1],
    }
    if removal != REPLACED:
        values = {f"difference_{removal}": values["difference"]}
    return _means(of_row, values)


def _patch_perturbation(row: AttributedSource, of_row: dict[str, FloatArray], scorer: Scorer) -> dict[str, dict[str, float]]:
    """Chefer et al. 2021: how long the answer stands while the most (positive) or the least relevant (negative) patches go."""
    (areas,) = perturbation_aucs([row], scorer=scorer)
    positive, negative = areas.T
    return _means(of_row, {"positive_auc": positive, "negative_auc": negative, "perturbation_gap": negative - positive})


def _means(of_row: dict[str, FloatArray], values: dict[str, FloatArray]) -> dict[str, dict[str, float]]:
    """Mean over a method's orders; `values`: measures of all methods' orders one after the other."""
    starts = np.cumsum([len(orders) for orders in of_row.values()])[:-1]
    split = {measure: np.split(array, starts) for measure, array in values.items()}
    return {method: {m: float(split[m][i].mean()) for m in values} for i, method in enumerate(of_row)}


def _plausibility(row: ExplainedRow, of_row: dict[str, FloatArray]) -> dict[str, dict[str, float]]:
    """Against the row's rationale, which argues for the gold class: NaN when another class was explained."""
    comparable = row.example.rationale is not None and row.example.label == row.attribution.target
    content = np.array(row.attribution.content)
    marked = _marked(row)[content] if comparable else np.zeros(int(content.sum()), dtype=bool)
    words = _words(row)[content]
    runs = np.arange(len(marked)) // _RUN
    return {
        method: _agreement(orders, marked, PLAUSIBILITY)
        | {f"word_{m}": v for m, v in _agreement(_pooled(orders, words), marked, _POOLED).items()}
        | {f"run_{m}": v for m, v in _agreement(_pooled(orders, runs), marked, _POOLED).items()}
        for method, orders in of_row.items()
    }


def _agreement(
    orders: FloatArray, marked: BoolArray, measures: dict[str, Callable[[FloatArray, BoolArray], float]]
) -> dict[str, float]:
    return {name: float(np.mean([m(order, marked) for order in orders])) for name, m in measures.items()}


def _pooled(orders: FloatArray, groups: IntArray) -> FloatArray:
    """Each token with the sum over its group, `orders content`: methods that give words or runs one value have no lead."""
    return np.array([np.bincount(groups, weights=order)[groups] if groups.size else order for order in orders])


def _words(row: ExplainedRow) -> IntArray:
    """The number of the word that each token is of, `seq`."""
    starts = [start for start, _ in word_spans(str(row.example.text))]
    return np.searchsorted(starts, np.array(row.attribution.starts), side="right")


def _marked(row: ExplainedRow) -> BoolArray:
    """Which tokens share a character with the rationale, `seq`."""
    starts, ends = np.array(row.attribution.starts), np.array(row.attribution.ends)
    hits = [(starts < end) & (ends > start) for start, end in row.example.rationale or ()]
    return np.any(hits, axis=0) if hits else np.zeros(len(starts), dtype=bool)
