"""What of a record is worth telling: findings with their event and level, each with its size against its limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from schemas.alert import AlertLevel
from schemas.base import CheckVerdict, Severity, one_spelling
from schemas.drift import DriftReport, Statistic, WordShift
from schemas.governance import GovernanceReport
from schemas.probe import ProbedWord, ProbeReport
from schemas.quality import QualityReport, in_words
from schemas.threshold import Threshold

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
    if probe.verdict is CheckVerdict.FAIL and not any(word.severity is Severity.CRITICAL for word in probe.words):
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
    size, z = limits.get("word shift"), limits.get("z of the word shift")
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
        f"probed word “{word.word}” ({seen}) toward {word.toward}: {word.reference_effect:+.2f} → {word.candidate_effect:+.2f} "
        f"logits, z {word.z:.1f} against what words do by noise"
    )


def _statistic_in_words(statistic: Statistic, limits: dict[str, Threshold]) -> str:
    limit = limits.get(one_spelling(statistic.name))
    value = "not measured" if statistic.value is None else f"{statistic.value:.3g}"
    against = f", limit {limit.limit:.3g}, from: {limit.source}" if limit else ""
    return f"{one_spelling(statistic.name)} ({statistic.slice}): {value}{against}"
