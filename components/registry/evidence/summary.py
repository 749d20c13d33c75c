"""A governance record as MLflow shows it: metrics and tags to search for, and a paragraph of description in Markdown.

Links are relative to MLflow's own address, since the one a run publishes to is often not the one a browser sees.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from components.common.plain_text import cut, defused
from schemas.governance import GovernanceReport
from schemas.tags import Tag

#: MLflow's limit for the name of a metric.
_LONGEST = 250
BEGIN, END = "<!-- calig:begin -->", "<!-- calig:end -->"
#: Longer descriptions are refused by MLflow's databases.
MAX_DESCRIPTION = 5000
_MAX_REASON = 300
_OWN_PARAGRAPH = re.compile(rf"\n*{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
#: Signs that ordinary fonts have: pictures (emoji) are empty boxes on many machines.
_SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "not_applicable": "–"}
_MARKUP = re.compile(r"[\\`*_\[\]|~#]")
#: Links of the paragraph: their text, and the page below the run's.
_PAGES = (
    ("Open the report", "/artifacts/calig/report.html"),
    ("All metrics and tags", ""),
    ("Record and tables", "/artifacts/calig"),
)


def metrics_of(record: GovernanceReport) -> dict[str, float]:
    """The record's numbers under MLflow names; those that are missing or not finite are left out."""
    numbers = dict(_numbers(record))
    names = metric_names(numbers)
    return {names[name]: value for name, value in numbers.items() if value is not None and math.isfinite(value)}


def _numbers(record: GovernanceReport) -> Iterator[tuple[str, float | None]]:
    yield "accuracy", record.results.accuracy
    if (found := record.results.regression) is not None:
        yield "mean_absolute_error", found.mean_absolute_error
        yield "root_mean_squared_error", found.root_mean_squared_error
        yield "r_squared", found.r_squared
    for label in record.results.labels:
        yield f"accuracy.{label.label}", label.accuracy
    yield "rows_explained", float(record.data.n_explained)
    yield "rows_skipped", float(record.data.n_skipped)
    yield "coverage", record.data.coverage
    for metric in record.quality.metrics:
        yield f"quality.{metric.name}", metric.value
    for control in record.quality.controls:
        yield f"margin.{control.name}", control.margin
    yield "drift.accuracy_change", record.drift.accuracy_change
    if (change := record.drift.prediction_change) is not None:
        yield "drift.predictions_moved", change.moved / change.n
        yield "drift.error_change", change.error_change
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
        Tag.REASON: _first_reason(record),
        Tag.DATA_DIGEST: record.data.dataset.digest,
        Tag.METHOD_FINGERPRINT: record.method.fingerprint,
        Tag.RECORD_DIGEST: record_sha256,
        Tag.SIGNING_KEY: record.decision.signing_key or "none",
        Tag.REFERENCE: "none" if reference is None else f"models:/{reference.name}/{reference.version}",
    }


def version_tags(record: GovernanceReport, run_id: str) -> dict[str, str]:
    """Tags of the model version; the verdict last, since gates wait for it."""
    return {Tag.RUN_ID: run_id, Tag.FINGERPRINT: record.fingerprint, Tag.VERDICT: record.decision.verdict.value}


def with_paragraph(description: str | None, paragraph: str) -> str:
    """`description` with our marked paragraph at its end, in place of an earlier one; all other text is left as it is.

    When both do not fit, the description stays as it was: the tags hold the same facts.
    """
    users = _OWN_PARAGRAPH.sub("", description or "")
    combined = f"{users}\n\n{paragraph}" if users else paragraph
    return combined if len(combined) <= MAX_DESCRIPTION else (description or "")


def paragraph_of(record: GovernanceReport, run: Any) -> str:
    """Verdict, links to the MLflow run's report and evidence, reason and parts, between markers.

    The links come first: the run's page shows no more than a few lines at first.
    """
    verdict = record.decision.verdict.value
    lines = "\n".join(f"| {name} | {value} | {reason} |" for name, value, reason in _parts(record))
    links = " · ".join(f"[{text}]({_page_of(run)}{page})" for text, page in _PAGES)
    return (
        f"{BEGIN}\n### {_SIGNS[verdict]} CA-LIG: {verdict}\n\n**{links}**\n\n{_plain(_first_reason(record))}\n\n"
        f"Next: {_plain(_short(record.decision.next_step))}\n\n"
        f"| Part | Verdict | What was found |\n| :-- | :-- | :-- |\n{lines}\n\n(evidence: run {run.info.run_id})\n{END}"
    )


def _page_of(run: Any) -> str:
    """The run's page, relative to MLflow's address."""
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def _first_reason(record: GovernanceReport) -> str:
    """The first reason on one line; a marker inside would end the paragraph early."""
    return _short((record.decision.reasons or ("",))[0])


def _parts(record: GovernanceReport) -> Iterator[tuple[str, str, str]]:
    """Name, verdict and finding of each part, as Markdown."""
    made = [check for check in record.quality.checks if check.verdict.value in {"pass", "fail"}]
    passed = sum(check.verdict.value == "pass" for check in made)
    yield "Attribution quality", _badge(record.quality.verdict), f"{passed} of {len(made)} checks passed"
    compared = record.drift.reference
    against = f" against {_link(compared.name, compared.version)}" if compared else ""
    yield f"Attribution drift{against}", _badge(record.drift.verdict), _plain(_short(record.drift.reason))
    if record.probe is not None:
        yield "Vocabulary probe", _badge(record.probe.verdict), _plain(_short(record.probe.reason))
    if record.results.accuracy is not None:
        change = record.drift.accuracy_change
        since = "" if change is None else f", {100 * change:+.1f} percentage points against the reference"
        each = " and every label of them" if record.results.labels else ""
        yield "Accuracy", f"{record.results.accuracy:.1%}", f"{record.results.n_labelled:,} rows{each}{since}"
    if (found := record.results.regression) is not None:
        r_squared = "" if found.r_squared is None else f", R² {found.r_squared:.3f}"
        yield "Mean absolute error", f"{found.mean_absolute_error:.4g}", f"{found.n:,} rows{r_squared}"


def _badge(verdict: Any) -> str:
    return f"{_SIGNS[verdict.value]} {verdict.value.replace('_', ' ')}"


def _link(name: str, version: str) -> str:
    """A registered version's page; names that would need escaping in an address are only named."""
    text = _plain(_short(f"{name} {version}"))
    return f"[{text}](#/models/{name}/versions/{version})" if re.fullmatch(r"[\w.-]+", name + version) else text


def _short(text: str) -> str:
    return cut(defused(" ".join(text.split())), _MAX_REASON)


def _plain(text: str) -> str:
    """Text that others wrote, such as a word of the data, as text: neither markup nor HTML."""
    return _MARKUP.sub(lambda sign: f"&#{ord(sign[0])};", escape(text, quote=False))
