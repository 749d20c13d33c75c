"""What of a governance record can be searched for in MLflow: metrics and tags of the run and of the model version."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from components.registry.evidence.description import first_reason
from schemas.governance import GovernanceReport
from schemas.tags import Tag

#: MLflow's limit for the name of a metric.
_LONGEST = 250


def metrics_of(record: GovernanceReport) -> dict[str, float]:
    """The record's numbers under MLflow names; those that are missing or not finite are left out."""
    numbers = dict(_numbers(record))
    names = metric_names(numbers)
    return {names[name]: value for name, value in numbers.items() if value is not None and math.isfinite(value)}


def _numbers(record: GovernanceReport) -> Iterator[tuple[str, float | None]]:
    yield "accuracy", record.results.accuracy
    yield "rows_explained", float(record.data.n_explained)
    yield "rows_skipped", float(record.data.n_skipped)
    yield "coverage", record.data.coverage
    for metric in record.quality.metrics:
        yield f"quality.{metric.name}", metric.value
    for control in record.quality.controls:
        yield f"margin.{control.name}", control.margin
    yield "drift.accuracy_change", record.drift.accuracy_change
    if record.drift.words_tested:
        yield "drift.words_beyond_limit", float(sum(shift.fires for shift in record.drift.word_shifts))
        yield "drift.largest_word_shift", max(abs(shift.shift) for shift in record.drift.word_shifts)
    for statistic in record.drift.statistics:
        yield f"drift.{statistic.name}" + ("" if statistic.slice == "all" else f".{statistic.slice}"), statistic.value


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """Each name as MLflow admits it: letters, digits, `_`, `.` and `-`, at most 250 characters.

    It also refuses names that are no normal path, such as `class_and/or/`. Names that are cut, or that would become one (`C++`
    and `C#`; some databases do not tell capitals apart), end in a digest: else one number would bear the other's name.
    """
    plain = {name: re.sub(r"[^\w.-]+", "_", f"calig.{name}") for name in names}
    n_alike = Counter(short.casefold() for short in plain.values())
    return {
        name: short if n_alike[short.casefold()] == 1 and len(short) <= _LONGEST else f"{short[: _LONGEST - 9]}_{_digest(name)}"
        for name, short in plain.items()
    }


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def run_tags(record: GovernanceReport, record_sha256: str) -> dict[str, str]:
    """Tags of the run beside those that identify it; the digest is that of record.json as it is published."""
    reference = record.drift.reference
    return {
        Tag.VERDICT: record.decision.verdict.value,
        Tag.REASON: first_reason(record),
        Tag.DATA_DIGEST: record.data.dataset.digest,
        Tag.METHOD_FINGERPRINT: record.method.fingerprint,
        Tag.RECORD_DIGEST: record_sha256,
        Tag.SIGNING_KEY: record.decision.signing_key or "none",
        Tag.REFERENCE: "none" if reference is None else f"models:/{reference.name}/{reference.version}",
    }


def version_tags(record: GovernanceReport, run_id: str) -> dict[str, str]:
    """Tags of the model version; the verdict last, since gates wait for it."""
    return {Tag.RUN_ID: run_id, Tag.FINGERPRINT: record.fingerprint, Tag.VERDICT: record.decision.verdict.value}
