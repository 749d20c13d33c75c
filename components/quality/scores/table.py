"""Rows of the attribution table as the quality step sees them: facts, attributions, what can be removed, what people marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from calig.metrics.complexity import entropy, gini
from calig.metrics.perturbation import (
    BoolArray,
    FloatArray,
    ImageSource,
    Perturbation,
    PerturbedDocument,
    PerturbedInput,
    Source,
    TextSource,
    answers_of,
)
from calig.metrics.plausibility import HumanCeiling, area_under_precision_recall, human_ceiling, majority, span_f1, token_f1
from components.common.errors import CouldNotRunError
from components.table.gold import gold_classes
from components.table.orientation import Target, class_of, weights_of
from components.table.reader import iter_rows

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
    gold = gold_classes(row)
    if attribution.size == 0 or len(masks) == 0 or (gold and class_of(row) not in gold):
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


#: Columns of the per-row table that are known before anything is perturbed, beside one `segment_<name>` per segment.
FACTS = (
    *("row", "id", "label", "predicted", "target", "probability", "coverage"),
    *("explained_probability", "n_tokens", "residual_max", "unconverged", "non_finite", "truncated"),
    *("entropy", "gini", *PLAUSIBILITY),
)
_COPIED = FACTS[:7]
#: Controls that the attribution run leaves beside CA-LIG.
_CONTROLS = ("input_x_gradient", "attention_rollout", "attention_gradient_rollout")


class Sample(Target):
    """What can be removed from a row."""

    id: str
    image: str | None
    input_ids: list[int]
    token_types: list[int] | None
    content: list[bool]
    windows: list[dict[str, int]] | None


class Row(Sample):
    """A row with all that is judged of it: columns of schemas/attribution.py."""

    row: int
    label: str | None
    gold_labels: list[str] | None
    segments: dict[str, str] | None
    problem: str | None
    predicted: str
    probability: float
    coverage: float
    logits: list[float | None]
    values: list[float | None]
    layer_attributions: list[list[float | None]] | None
    residuals: list[float | None]
    converged: bool
    input_x_gradient: list[float | None] | None
    attention_rollout: list[float | None] | None
    attention_gradient_rollout: list[float | None] | None
    rationale: list[dict[str, int]] | None
    rationales: list[list[dict[str, int]]] | None
    starts: list[int]
    ends: list[int]


def sample_inputs(table_paths: Sequence[Path], *, limit: int, perturbation: Perturbation) -> list[PerturbedInput]:
    """The first `limit` attributed inputs: what a scorer's parity is checked on; see `parity_inputs`."""
    return parity_inputs(islice(iter_rows(table_paths, Sample, explained=True), limit), perturbation)


def parity_inputs(rows: Iterable[Mapping[str, Any]], perturbation: Perturbation) -> list[PerturbedInput]:
    """The rows' inputs with nothing replaced, of texts in windows the first window and the last.

    Where tokens are deleted from the attention mask, every second input lacks every second one: the mask is checked too.
    """
    sources = [source_of(row, perturbation) for row in rows]
    deletes = perturbation.kind == "delete"
    whole = [source.without((np.arange(source.n_content) % 2 < i % 2) & deletes) for i, source in enumerate(sources)]
    return [piece for item in whole for piece in _outermost(item)]


def _outermost(item: PerturbedInput) -> list[PerturbedInput]:
    return [item.window(0), item.window(item.n_windows - 1)] if isinstance(item, PerturbedDocument) else [item]


def facts_of(row: Row, labels: Sequence[str], *, problem_type: str = "single_label_classification") -> dict[str, Any]:
    """The row's entries in FACTS and its segments; `residual_max` is NaN when a residual is missing or not finite."""
    columns: Mapping[str, Any] = row
    residuals = floats(row["residuals"])
    finite = residuals.size > 0 and bool(np.isfinite(residuals).all())
    return {
        **{name: columns[name] for name in _COPIED},
        "explained_probability": _explained_answer(row, labels, problem_type),
        "n_tokens": int(np.sum(row["content"])),
        "residual_max": float(residuals.max()) if finite else np.nan,
        "unconverged": int(not row["converged"]),
        "non_finite": int(not (finite and is_scorable(row))),
        "truncated": int(row["coverage"] < 1.0),
        **_shape(row),
        **{f"segment_{name}": value for name, value in (row["segments"] or {}).items()},
    }


def _shape(row: Row) -> dict[str, float]:
    """Entropy and Gini of the attribution, and its agreement with people's rationales."""
    values = floats(row["values"])[np.array(row["content"], dtype=bool)] if is_scorable(row) else np.empty(0)
    return {"entropy": entropy(values), "gini": gini(values), **plausibility(row, values)}


def is_scorable(row: Mapping[str, Any]) -> bool:
    """Whether the row has content and a finite attribution."""
    values = floats(row["values"])
    return any(row["content"]) and values.size > 0 and bool(np.isfinite(values).all())


def attributions_of(row: Row) -> dict[str, FloatArray]:
    """Attributions `1 content` by method, without those the row lacks; CouldNotRunError when lengths disagree."""
    content = np.array(row["content"], dtype=bool)
    layers = [floats(layer) for layer in row["layer_attributions"] or []]
    columns: Mapping[str, Any] = row
    stored = {name: floats(columns[name]) for name in ("values", *_CONTROLS)}
    if any(values.size not in (0, content.size) for values in (*stored.values(), *layers)):
        raise CouldNotRunError(f"row {row['id']}: the attribution's length is not that of its tokens", next_step=_AGAIN)
    known = {
        "ca_lig": stored["values"],
        "plain_ig": layers[0] if layers else floats(None),
        "layer_ig_mean": np.mean(layers, axis=0) if layers else floats(None),
        **{name: stored[name] for name in _CONTROLS},
    }
    return {name: values[content][None] for name, values in known.items() if values.size and np.isfinite(values).all()}


def source_of(row: Mapping[str, Any], perturbation: Perturbation) -> Source:
    """What can be removed from the row, and how; CouldNotRunError when texts and images are mixed up."""
    content = np.array(row["content"], dtype=bool)
    if row["image"] is not None:
        if perturbation.kind not in ("zero", "blur"):
            raise CouldNotRunError(f"row {row['id']} is an image", got=f"perturbation {perturbation.kind}", allowed="zero, blur")
        return ImageSource(Path(row["image"]), int(content.sum()), perturbation.kind)
    if perturbation.kind not in ("replace", "delete"):
        raise CouldNotRunError(f"row {row['id']} is a text", got=f"perturbation {perturbation.kind}", allowed="replace, delete")
    ids = np.array(row["input_ids"], dtype=np.int64)
    windows = tuple((span["start"], span["end"]) for span in row["windows"] or ())
    given = row.get("token_types")
    types = None if given is None else np.array(given, dtype=np.int64)
    return TextSource(ids, content, perturbation.replacement_id, perturbation.kind == "delete", windows, types)


def explained_class(row: Mapping[str, Any], labels: Sequence[str]) -> int:
    """Index of the class explained; of a margin, the class that it is of.

    By the target's weights, not by the logit: in half precision two classes often share one.
    """
    _check_classes(row, labels)
    return labels.index(class_of(row))


def explained_function(row: Mapping[str, Any], labels: Sequence[str]) -> Callable[[FloatArray], FloatArray]:
    """What was explained of the row, as a function of logits in the order of `labels`: `inputs classes` → f, `inputs`."""
    _check_classes(row, labels)
    of_class = weights_of(row)
    weights = np.array([of_class[name] for name in labels])
    if row["objective"] != "log_odds" or weights.size == 2:  # log-odds of two classes are their margin
        return lambda logits: np.asarray(logits @ weights)
    return lambda logits: np.asarray(logits @ weights - logsumexp(logits[..., weights == 0], axis=-1))


def _check_classes(row: Mapping[str, Any], labels: Sequence[str]) -> None:
    named = weights_of(row)
    if named.keys() != set(labels) or not any(named.values()):
        raise CouldNotRunError(
            f"row {row['id']} explains what is no function of the model's classes",
            got=f"{row['target']}: {', '.join(named) or 'no weights'}",
            allowed=", ".join(labels),
            next_step=_AGAIN,
        )


def _explained_answer(row: Row, labels: Sequence[str], problem_type: str) -> float:
    """What the attribution run's logits say of the explained class: what the scorer must give for the whole input."""
    logits = floats(row["logits"])
    if not np.isfinite(logits).all():
        return np.nan
    return float(answers_of(logits, problem_type)[explained_class(row, labels)])


def floats(values: Sequence[float | None] | None) -> FloatArray:
    """An array; null becomes NaN, and a missing list an empty array."""
    return np.array([np.nan if value is None else value for value in values or []], dtype=np.float64)


_AGAIN = "compute the attributions again"
