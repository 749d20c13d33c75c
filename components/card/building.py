"""Model card in Hugging Face's format, built from the governance record alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from components.common.errors import CouldNotRunError
from components.common.plain_text import printable
from schemas.base import Direction, Interval
from schemas.governance import GovernanceReport

_TEMPLATE = Path(__file__).parent / "template.md.j2"
#: What Markdown, or the HTML inside it, would take for more than text.
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~>])")
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
    dataset, data_name = record.data.dataset, _line(record.data.dataset.name)
    common: dict[str, Any] = {"task_type": task, "dataset_type": data_name, "dataset_name": data_name}
    pinned: dict[str, Any] = {"dataset_split": record.data.split, "dataset_revision": dataset.digest}
    accuracy = [("accuracy", record.results.accuracy)]
    values = [*accuracy, *((metric.name, metric.value) for metric in record.quality.metrics)]
    results = [
        EvalResult(metric_type=re.sub(r"\W+", "_", name), metric_name=name, metric_value=value, **common, **pinned)
        for name, value in values
        if value is not None
    ]
    return ModelCardData(
        model_name=_line(f"{record.model.name} {record.model.version}"),
        library_name="transformers",
        pipeline_tag=task,
        tags=["calig", "explainability", record.model.model_type],
        eval_results=results,
    )


def _texts(record: GovernanceReport, record_sha256: str | None) -> dict[str, Any]:
    """What the template shows; whatever comes from a model or a data set is escaped."""
    model, data, decision, reference = record.model, record.data, record.decision, record.drift.reference
    key = decision.signing_key
    return {
        "name": escaped(model.name),
        "version": escaped(model.version),
        "verdict": decision.verdict.value,
        "reasons": escaped("; ".join(decision.reasons)),
        "model_type": escaped(model.model_type),
        "modality": model.modality,
        "labels": escaped(", ".join(model.labels)),
        "owner": escaped(decision.owner or _NOT_STATED),
        "uri": _code(model.uri),
        "weights_digest": model.weights_digest,
        "record_digest": record_sha256 or record.content_digest(),
        "signed": f"signed by key `{key}`" if key else "not signed",
        "scope": escaped(record.scope or "Not stated by the owner (setting governance.intended_use)."),
        "limits": [escaped(limit) for limit in (*record.limits, *record.failure_modes)],
        "dataset": escaped(data.dataset.name),
        "split": escaped(data.split or _NOT_STATED),
        "n_rows": data.dataset.n_rows,
        "sampling": escaped(data.sampling),
        "data_digest": data.dataset.digest,
        "n_explained": data.n_explained,
        "n_skipped": data.n_skipped,
        "unconverged": "?" if record.results.unconverged is None else record.results.unconverged,
        "segments": [(escaped(column), _counted(counts)) for column, counts in data.segments.items()],
        "metrics": _metrics(record),
        "controls": [(escaped(c.name), f"{c.margin:+.4f}", _interval(c.margin_interval)) for c in record.quality.controls],
        "method": escaped(f"{record.method.method}, formula {record.method.formula_version}, {record.method.points}"),
        "reference": escaped(f"version {reference.version}" if reference else "no earlier version"),
        "drift": escaped(record.drift.reason),
        "environment": escaped(", ".join(f"{name} {version}" for name, version in record.environment.libraries.items())),
    }


def _metrics(record: GovernanceReport) -> list[tuple[str, ...]]:
    results = record.results
    rows = [("accuracy", results.accuracy, results.accuracy_interval, results.n_labelled, Direction.HIGHER)]
    rows += [(metric.name, metric.value, metric.interval, metric.n, metric.direction) for metric in record.quality.metrics]
    return [
        (escaped(name), "not measured" if value is None else f"{value:.4f}", _interval(interval), str(n), direction.value)
        for name, value, interval, n, direction in rows
    ]


def _interval(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.4f} … {interval.high:.4f} ({interval.level:.0%})"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{escaped(value)} {n}" for value, n in counts.items())


def escaped(text: str) -> str:
    """`text` on one line as Markdown shows it literally, and as no HTML."""
    plain = _line(text)
    return _SPECIAL.sub(r"\\\1", plain.replace("&", "&amp;").replace("<", "&lt;"))


def _code(text: str) -> str:
    """`text` inside backticks, which know no escapes."""
    return _line(text).replace("`", "'")


def _line(text: str) -> str:
    """`text` on one line, without control and direction characters."""
    return printable(" ".join(text.split()))
