"""Model card in Hugging Face's format, built from the governance record alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from components.common.errors import CouldNotRunError
from components.common.plain_text import markdown_text, on_one_line
from schemas.base import Direction, Interval
from schemas.governance import GovernanceReport
from schemas.release import AdapterRecord

_TEMPLATE = Path(__file__).parent / "template.md.j2"
_NOT_STATED = "not stated"


def card_of(record: GovernanceReport, record_sha256: str | None = None) -> str:
    """The card: YAML metadata with the results as `model-index`, and the text for people.

    `record_sha256` is the digest of the record as a file; without it, that of `record` as it will be written.
    """
    from huggingface_hub import ModelCard

    return str(ModelCard.from_template(_metadata(record), template_path=str(_TEMPLATE), **_texts(record, record_sha256)))


def write_card(record: GovernanceReport, path: Path, record_sha256: str | None = None) -> None:
    """Write the card of `record` to `path`; `record_sha256` as for `card_of`.

    Raises:
        CouldNotRunError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(card_of(record, record_sha256), encoding="utf-8", errors="replace")
    except OSError as error:
        raise CouldNotRunError("the model card cannot be written", got=error, next_step="check --output") from error


def _metadata(record: GovernanceReport) -> Any:
    from huggingface_hub import EvalResult, ModelCardData

    task = f"{record.model.modality}-classification"
    dataset, data_name = record.data.dataset, on_one_line(record.data.dataset.name)
    common: dict[str, Any] = {"task_type": task, "dataset_type": data_name, "dataset_name": data_name}
    pinned: dict[str, Any] = {"dataset_split": record.data.split, "dataset_revision": dataset.digest}
    own = [(name, value) for name, value, *_ in _own_metrics(record)]
    values = [*own, *((metric.name, metric.value) for metric in record.quality.metrics)]
    results = [
        EvalResult(metric_type=re.sub(r"\W+", "_", name), metric_name=name, metric_value=value, **common, **pinned)
        for name, value in values
        if value is not None
    ]
    return ModelCardData(
        model_name=on_one_line(f"{record.model.name} {record.model.version}"),
        library_name="transformers",
        pipeline_tag=task,
        tags=["calig", "explainability", record.model.model_type],
        eval_results=results,
    )


def _adapter(adapter: AdapterRecord | None) -> str:
    """The adapter and its base, each with its digest; empty for a model without one."""
    if adapter is None:
        return ""
    base = f"base `{_code(adapter.base_uri)}`, SHA-256 `{adapter.base_digest}`"
    return f"{markdown_text(adapter.kind)}, SHA-256 `{adapter.digest}`, merged in memory into its {base}"


def _texts(record: GovernanceReport, record_sha256: str | None) -> dict[str, Any]:
    """What the template shows; whatever comes from a model or a data set is escaped."""
    model, data, decision, reference = record.model, record.data, record.decision, record.drift.reference
    key = decision.signing_key
    return {
        "name": markdown_text(model.name),
        "version": markdown_text(model.version),
        "verdict": decision.verdict.value,
        "reasons": markdown_text("; ".join(decision.reasons)),
        "model_type": markdown_text(model.model_type),
        "modality": model.modality,
        "kind": f"regression; output {markdown_text(model.labels[0])}"
        if model.is_regression
        else f"classifier; classes {markdown_text(', '.join(model.labels))}",
        "owner": markdown_text(decision.owner or _NOT_STATED),
        "uri": _code(model.uri),
        "weights_digest": model.weights_digest,
        "stored": f", saved in {' and '.join(model.stored_precision)}" if model.stored_precision else "",
        "adapter": _adapter(model.adapter),
        "record_digest": record_sha256 or record.content_digest(),
        "signed": f"signed by key `{key}`" if key else "not signed",
        "scope": markdown_text(record.scope or "Not stated by the owner (setting governance.intended_use)."),
        "limits": [markdown_text(limit) for limit in (*record.limits, *record.failure_modes)],
        "dataset": markdown_text(data.dataset.name),
        "split": markdown_text(data.split or _NOT_STATED),
        "n_rows": data.dataset.n_rows,
        "sampling": markdown_text(data.sampling),
        "data_digest": data.dataset.digest,
        "n_explained": data.n_explained,
        "n_skipped": data.n_skipped,
        "unconverged": "?" if record.results.unconverged is None else record.results.unconverged,
        "segments": [(markdown_text(column), _counted(counts)) for column, counts in data.segments.items()],
        "metrics": _metrics(record),
        "controls": [(markdown_text(c.name), f"{c.margin:+.4f}", _interval(c.margin_interval)) for c in record.quality.controls],
        "method": markdown_text(f"{record.method.method}, formula {record.method.formula_version}, {record.method.points}"),
        "reference": markdown_text(f"version {reference.version}" if reference else "no earlier version"),
        "drift": markdown_text(record.drift.reason),
        "environment": markdown_text(", ".join(f"{name} {version}" for name, version in record.environment.libraries.items())),
    }


def _metrics(record: GovernanceReport) -> list[tuple[str, ...]]:
    rows = _own_metrics(record)
    rows += [(metric.name, metric.value, metric.interval, metric.n, metric.direction) for metric in record.quality.metrics]
    return [
        (markdown_text(name), "not measured" if value is None else f"{value:.4f}", _interval(interval), str(n), direction.value)
        for name, value, interval, n, direction in rows
    ]


_MetricRow = tuple[str, float | None, Interval | None, int, Direction]


def _own_metrics(record: GovernanceReport) -> list[_MetricRow]:
    """How the model itself did: accuracy, or of a regression its errors."""
    results, found = record.results, record.results.regression
    if not record.model.is_regression:
        return [("accuracy", results.accuracy, results.accuracy_interval, results.n_labelled, Direction.HIGHER)]
    if found is None:
        return [("mean absolute error", None, None, 0, Direction.LOWER)]
    return [
        ("mean absolute error", found.mean_absolute_error, found.mean_absolute_error_interval, found.n, Direction.LOWER),
        ("root mean squared error", found.root_mean_squared_error, None, found.n, Direction.LOWER),
        ("R²", found.r_squared, None, found.n, Direction.HIGHER),
    ]


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.4f} … {interval.high:.4f} ({interval.level:.0%})"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{markdown_text(value)} {n}" for value, n in counts.items())


def _code(text: str) -> str:
    """`text` inside backticks, which know no escapes."""
    return on_one_line(text).replace("`", "'")
