"""Rows of the trend: the figures of each version, and why they do not compare with those before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas.base import Severity, Verdict, one_spelling
from schemas.evidence import VersionEntry
from schemas.governance import GovernanceReport

#: Key figures in the order of the table: key, heading, which way is better.
FIGURES = (
    ("margin", "margin over random", "↑"),
    ("comprehensiveness", "comprehensiveness", "↑"),
    ("sufficiency", "sufficiency", "↓"),
    ("rank agreement", "rank agreement", "↑"),
    ("top k overlap", "top-k overlap", "↑"),
    ("sign flip rate", "sign-flip rate", "↓"),
    ("word shift", "largest word shift", "↓"),
)


@dataclass(frozen=True, slots=True)
class TrendRow:
    """One version; without an explanation everything measured is None and `problem` says why."""

    version: str
    created_at: datetime
    aliases: tuple[str, ...]
    problem: str | None
    verdict: Verdict | None = None
    reason: str = ""
    explained_at: datetime | None = None
    accuracy: float | None = None
    reference: str | None = None
    figures: dict[str, float | None] = field(default_factory=dict)
    word_limit: float | None = None
    firing: tuple[str, ...] = ()  # words beyond their limit: their shift, or what the vocabulary probe found
    broken: tuple[str, ...] = ()  # why numbers do not compare with the explained version before: other data, other method
    run_url: str | None = None


def trend_rows(entries: Sequence[VersionEntry]) -> list[TrendRow]:
    """One row per version, oldest first."""
    rows, before = [], None
    for entry in entries:
        record = None if entry.evidence is None else entry.evidence.record
        rows.append(_row(entry, record, before))
        before = record or before
    return rows


def _row(entry: VersionEntry, record: GovernanceReport | None, before: GovernanceReport | None) -> TrendRow:
    if entry.evidence is None or record is None:
        return TrendRow(entry.version, entry.created_at, entry.aliases, entry.problem)
    drift, url = record.drift, entry.evidence.run_url
    limits = [threshold.limit for threshold in drift.thresholds if one_spelling(threshold.name) == "word shift"]
    return TrendRow(
        version=entry.version,
        created_at=entry.created_at,
        aliases=entry.aliases,
        problem=None,
        verdict=record.decision.verdict,
        reason=next(iter(record.decision.reasons), ""),
        explained_at=record.created_at,
        accuracy=record.results.accuracy,
        reference=None if drift.reference is None else drift.reference.version,
        figures=_figures(record),
        word_limit=limits[0] if limits else None,
        firing=tuple(dict.fromkeys([*(s.word for s in drift.word_shifts if s.fires), *_probed(record)])),
        broken=() if before is None else _broken(record, before),
        run_url=url if url and url.startswith(("http://", "https://")) else None,
    )


def _figures(record: GovernanceReport) -> dict[str, float | None]:
    quality = {one_spelling(metric.name): metric.value for metric in record.quality.metrics}
    drift = {_drift_key(s.name): s.value for s in record.drift.statistics if s.slice == "all"}
    margin = next((control.margin for control in record.quality.controls if control.name == "random"), None)
    shift = max((abs(s.shift) for s in record.drift.word_shifts if s.slice == "all"), default=None)
    found = {**quality, **drift, "margin": margin, "word shift": shift}
    return {key: found.get(key) for key, _, _ in FIGURES}


def _probed(record: GovernanceReport) -> list[str]:
    words = () if record.probe is None else record.probe.words
    return [word.word for word in words if word.severity is Severity.CRITICAL]


def _broken(record: GovernanceReport, before: GovernanceReport) -> tuple[str, ...]:
    changes = (
        ("other data", record.data.dataset.digest != before.data.dataset.digest),
        ("other method", record.method.fingerprint != before.method.fingerprint),
    )
    return tuple(text for text, changed in changes if changed)


def _drift_key(name: str) -> str:
    """`top_3_overlap` is the top-k overlap, whatever k is."""
    key = one_spelling(name)
    return "top k overlap" if key.startswith("top ") and key.endswith(" overlap") else key


def count_by_verdict(rows: Iterable[TrendRow]) -> dict[str, int]:
    """Versions per verdict, and those without an explanation."""
    counts = {"pass": 0, "fail": 0, "inconclusive": 0, "not explained": 0}
    for row in rows:
        counts[row.verdict.value if row.verdict else "not explained"] += 1
    return counts
