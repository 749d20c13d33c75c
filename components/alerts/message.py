"""Make the message about one explanation from its record."""

from __future__ import annotations

from components.alerts.findings import findings_of
from schemas.alert import AlertExample, AlertLevel, AlertMessage
from schemas.base import digest_of
from schemas.drift import DriftExample, DriftWord
from schemas.governance import GovernanceReport

#: Told after every run, whatever it found.
EXPLAINED = "calig.explained"
_EXAMPLES = 3
_WORDS = 3
_MAX_TEXT = 160
_MAX_WORD = 40
_MAX_FINDING = 500


def message_of(record: GovernanceReport, *, link: str) -> AlertMessage:
    """What is said about `record`; its level is that of its gravest finding, `explained` when there is none."""
    findings = findings_of(record)
    level = findings[0].level if findings else AlertLevel.EXPLAINED
    reference = record.drift.reference
    return AlertMessage(
        id=alert_id(record.model.name, record.model.version, record.fingerprint, level),
        level=level,
        events=tuple(dict.fromkeys([*(finding.event for finding in findings), EXPLAINED])),
        model=record.model.name,
        version=record.model.version,
        uri=record.model.uri,
        fingerprint=record.fingerprint,
        verdict=record.decision.verdict,
        reference=None if reference is None else reference.version,
        findings=tuple(shortened(finding.text, _MAX_FINDING) for finding in findings),
        examples=tuple(_example(example) for example in record.drift.worst[:_EXAMPLES]),
        next_step=record.decision.next_step,
        link=link,
        created_at=record.created_at,
    )


def alert_id(model: str, version: str, fingerprint: str, level: AlertLevel) -> str:
    """The identity by which a message is told once (32 hex digits)."""
    return digest_of([model, version, fingerprint, level.value])[:32]


def shortened(text: str, limit: int) -> str:
    """`text` on one line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def _example(example: DriftExample) -> AlertExample:
    most = sorted(example.words, key=lambda word: -abs(word.candidate - word.reference))[:_WORDS]
    return AlertExample(
        id=shortened(example.id, _MAX_WORD), text=shortened(example.text, _MAX_TEXT), changes=tuple(map(_change, most))
    )


def _change(word: DriftWord) -> str:
    return f"“{shortened(word.text, _MAX_WORD)}” {word.reference:+.0%} → {word.candidate:+.0%}"
