"""What of a governance record is shown on the run and on the model version: metrics, tags, a paragraph of the description."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from components.plain_text import defused
from schemas.governance import GovernanceReport

BEGIN, END = "<!-- calig:begin -->", "<!-- calig:end -->"
#: Longer descriptions are refused by MLflow's databases.
MAX_DESCRIPTION = 5000
_MAX_REASON = 300
_OWN_PARAGRAPH = re.compile(rf"\n*{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)


def metrics_of(record: GovernanceReport) -> dict[str, float]:
    """The record's numbers under MLflow names; those that are missing or not finite are left out."""
    return {_metric_name(name): value for name, value in _numbers(record) if value is not None and math.isfinite(value)}


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


def _metric_name(name: str) -> str:
    """MLflow admits letters, digits and a few signs, 250 characters."""
    return re.sub(r"[^\w./-]+", "_", f"calig.{name}")[:250]


def run_tags(record: GovernanceReport, record_sha256: str) -> dict[str, str]:
    """Tags of the run beside those that identify it; the digest is that of record.json as it is published."""
    reference = record.drift.reference
    return {
        "calig.verdict": record.decision.verdict.value,
        "calig.reason": _reason(record),
        "calig.data_digest": record.data.dataset.digest,
        "calig.method_fingerprint": record.method.fingerprint,
        "calig.record_digest": record_sha256,
        "calig.signing_key": record.decision.signing_key or "none",
        "calig.reference": "none" if reference is None else f"models:/{reference.name}/{reference.version}",
    }


def version_tags(record: GovernanceReport, run_id: str) -> dict[str, str]:
    """Tags of the model version; the verdict last, since gates wait for it."""
    return {"calig.run_id": run_id, "calig.fingerprint": record.fingerprint, "calig.verdict": record.decision.verdict.value}


def with_paragraph(description: str | None, paragraph: str) -> str:
    """`description` with our marked paragraph at its end, in place of an earlier one; all other text is left as it is.

    When both do not fit, the description stays as it was: the tags hold the same facts.
    """
    users = _OWN_PARAGRAPH.sub("", description or "")
    combined = f"{users}\n\n{paragraph}" if users else paragraph
    return combined if len(combined) <= MAX_DESCRIPTION else (description or "")


def paragraph_of(record: GovernanceReport, *, run_id: str, run_url: str | None) -> str:
    """Verdict, first reason and where the evidence is, between markers."""
    evidence = f"[evidence]({run_url})" if run_url else f"evidence: run {run_id}"
    return f"{BEGIN}\n**CA-LIG: {record.decision.verdict.value}.** {_reason(record)} ({evidence})\n{END}"


def _reason(record: GovernanceReport) -> str:
    """The first reason on one line, as text alone: words of the data set stand in it."""
    reason = defused(" ".join((record.decision.reasons or ("",))[0].split()))
    return reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}…"
