"""Alert messages: a record's findings with event and level, each with its size against its limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from components.common.plain_text import cut, defused
from schemas.alert import AlertExample, AlertLevel, AlertMessage
from schemas.base import CheckVerdict, Severity, Threshold, digest_of, one_spelling
from schemas.drift import DriftExample, DriftReport, DriftWord, Statistic, WordShift
from schemas.governance import GovernanceReport
from schemas.probe import ProbedWord, ProbeReport, TransformedRows
from schemas.quality import QualityReport, in_words

_WORDS_TOLD = 5
_TOLD_AS: dict[Severity | None, tuple[str, AlertLevel]] = {
    Severity.CRITICAL: ("calig.drift.failed", AlertLevel.FAILING),
    Severity.WARNING: ("calig.drift.warned", AlertLevel.WARNING),
}


class Finding(NamedTuple):
    """One line of a message."""

    event: str
    level: AlertLevel
    text: str


def findings_of(record: GovernanceReport) -> list[Finding]:
    """All findings, gravest first; none when nothing stands against the version."""
    probed = [] if record.probe is None else _probe_findings(record.probe)
    found = [*_drift_findings(record.drift), *probed, *_quality_findings(record.quality)]
    return sorted(found, key=lambda finding: -finding.level.rank)


def _drift_findings(drift: DriftReport) -> Iterator[Finding]:
    if drift.verdict is CheckVerdict.INCONCLUSIVE:
        yield Finding("calig.drift.warned", AlertLevel.WARNING, f"drift could not be judged: {drift.reason}")
    failed = drift.verdict is CheckVerdict.FAIL
    event, level = ("calig.drift.failed", AlertLevel.FAILING) if failed else ("calig.drift.warned", AlertLevel.WARNING)
    limits = {one_spelling(threshold.name): threshold for threshold in drift.thresholds}
    firing = [shift for shift in drift.word_shifts if shift.fires]
    for shift in firing[:_WORDS_TOLD]:
        yield Finding(event, level, _shift_in_words(shift, limits))
    if len(firing) > _WORDS_TOLD:
        yield Finding(event, level, f"{len(firing) - _WORDS_TOLD} more words changed their role beyond the limit")
    for shift in [shift for shift in drift.word_shifts if shift.warns][:_WORDS_TOLD]:
        yield Finding("calig.drift.warned", AlertLevel.WARNING, _shift_in_words(shift, limits))
    for statistic in drift.statistics:
        if statistic.fires:
            yield Finding("calig.drift.warned", AlertLevel.WARNING, _statistic_in_words(statistic, limits))
    if failed and not firing:
        yield Finding(event, level, f"drift: {drift.reason}")


def _probe_findings(probe: ProbeReport) -> Iterator[Finding]:
    """Words that the data set may not contain: a drift of the reasons like any other."""
    if probe.verdict is CheckVerdict.INCONCLUSIVE:
        yield Finding("calig.drift.warned", AlertLevel.WARNING, f"the vocabulary probe could not judge: {probe.reason}")
    for word in [word for word in probe.words if word.severity in _TOLD_AS][:_WORDS_TOLD]:
        event, level = _TOLD_AS[word.severity]
        yield Finding(event, level, _probed_in_words(word))
    transformed = () if probe.metamorphic is None else probe.metamorphic.transformations
    for rows in [rows for rows in transformed if rows.severity in _TOLD_AS]:
        event, level = _TOLD_AS[rows.severity]
        yield Finding(event, level, _transformed_in_words(rows))
    found = {word.severity for word in probe.words} | {rows.severity for rows in transformed}
    if probe.verdict is CheckVerdict.FAIL and Severity.CRITICAL not in found:
        yield Finding("calig.drift.failed", AlertLevel.FAILING, f"vocabulary probe: {probe.reason}")


def _quality_findings(quality: QualityReport) -> Iterator[Finding]:
    for check in quality.checks:
        if check.verdict is CheckVerdict.FAIL and check.severity is not Severity.INFO:
            failed = check.severity is Severity.CRITICAL
            yield _quality(failed, f"quality, {check.name}: {in_words(check.observed)}, required {check.requirement}")
        elif check.verdict is CheckVerdict.INCONCLUSIVE and check.severity is Severity.CRITICAL:
            yield _quality(False, f"quality, {check.name} could not be judged: {check.explanation or check.requirement}")
    for warning in quality.warnings:
        yield _quality(False, f"quality: {warning}")


def _quality(failed: bool, text: str) -> Finding:
    if failed:
        return Finding("calig.quality.failed", AlertLevel.FAILING, text)
    return Finding("calig.quality.warned", AlertLevel.WARNING, text)


def _shift_in_words(shift: WordShift, limits: dict[str, Threshold]) -> str:
    names = ("word shift", "z of the word shift") if shift.fires else ("word shift of a warning", "z of a warning")
    size, z = map(limits.get, names)
    of_size = f" (limit {size.limit:.2f})" if size else ""
    of_z = f" (limit {z.limit:.3g})" if z else ""
    floor = f"; limit from: {size.source}" if size else ""
    where = "" if shift.slice == "all" else f" ({shift.slice})"
    return (
        f"the word “{shift.word}”{where} toward {shift.toward}: {shift.reference_share:+.0%} → {shift.candidate_share:+.0%} "
        f"of the evidence where it occurs; effect {shift.effect:+.2f} of a typical decision{of_size}, z {shift.z:.1f}{of_z}, "
        f"{shift.n} rows{floor}"
    )


def _probed_in_words(word: ProbedWord) -> str:
    seen = f"in {word.occurrences} rows of the data set" if word.occurrences else "in no row of the data set"
    return (
        f"probed word “{word.word}”{word.where} ({seen}) toward {word.toward}: {word.reference_effect:+.2f} → "
        f"{word.candidate_effect:+.2f} logits, z {word.z:.1f} against what words do by noise"
    )


def _transformed_in_words(rows: TransformedRows) -> str:
    return (
        f"transformed rows, “{rows.name}”, toward {rows.toward}: {rows.reference_effect:+.2f} → {rows.candidate_effect:+.2f} "
        f"typical decisions, z {rows.z:.1f}, {rows.n} rows"
    )


def _statistic_in_words(statistic: Statistic, limits: dict[str, Threshold]) -> str:
    limit = limits.get(one_spelling(statistic.name))
    value = "not measured" if statistic.value is None else f"{statistic.value:.3g}"
    against = f", limit {limit.limit:.3g}, from: {limit.source}" if limit else ""
    return f"{one_spelling(statistic.name)} ({statistic.slice}): {value}{against}"


_SIGNS = {AlertLevel.FAILING: "✗", AlertLevel.WARNING: "!", AlertLevel.EXPLAINED: "·"}


def subject_of(message: AlertMessage) -> str:
    """One line: verdict, model, version."""
    against = "" if message.reference is None else f", compared with version {message.reference}"
    return f"{_SIGNS[message.level]} {message.verdict.value}: {defused(message.model)} version {message.version}{against}"


def text_of(message: AlertMessage) -> str:
    """The whole message without its subject."""
    lines = [f"• {defused(finding)}" for finding in message.findings] or ["nothing stands against this version"]
    if message.examples:
        lines += ["", "Same answer, different reason; the worst:"]
        for example in message.examples:
            lines += [f"• {defused(example.id)}: {defused(example.text)}", f"    {defused('; '.join(example.changes))}"]
    return "\n".join([*lines, "", f"Next: {defused(message.next_step)}", f"Evidence: {message.link}"])


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
        findings=tuple(_line(finding.text, _MAX_FINDING) for finding in findings),
        examples=tuple(_example(example) for example in record.drift.worst[:_EXAMPLES]),
        next_step=record.decision.next_step,
        link=link,
        created_at=record.created_at,
    )


def alert_id(model: str, version: str, fingerprint: str, level: AlertLevel) -> str:
    """The identity by which a message is told once (32 hex digits)."""
    return digest_of([model, version, fingerprint, level.value])[:32]


def _example(example: DriftExample) -> AlertExample:
    most = sorted(example.words, key=lambda word: -abs(word.candidate - word.reference))[:_WORDS]
    return AlertExample(id=_line(example.id, _MAX_WORD), text=_line(example.text, _MAX_TEXT), changes=tuple(map(_change, most)))


def _change(word: DriftWord) -> str:
    return f"“{_line(word.text, _MAX_WORD)}” {word.reference:+.0%} → {word.candidate:+.0%}"


def _line(text: str, limit: int) -> str:
    return cut(" ".join(text.split()), limit)
