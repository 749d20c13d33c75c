"""Judges a published record: its verdict, the sign-off that stands and what it may decide, and what the gate asks for beyond."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from components.common.errors import InputError
from components.gate.policy import Circumstances, gate_check, policy_checks, signature_of
from schemas.base import CheckVerdict, Severity, Verdict
from schemas.config import GateConfig
from schemas.drift import DriftReport, Statistic, WordShift
from schemas.evidence import Evidence, Standing
from schemas.gate import GateCheck, GateResult
from schemas.governance import GovernanceReport
from schemas.quality import Check, in_words
from schemas.signature import Ruling, SignOff, SignOffDraft


@dataclass(frozen=True)
class Ruled:
    """The verdict after the reviewer's decision, and how to say so."""

    verdict: Verdict
    checks: tuple[GateCheck, ...] = ()
    reasons: tuple[str, ...] = ()
    next_step: str = ""
    waives: bool = False


def check_draft(draft: SignOffDraft, verdict: Verdict, today: date) -> None:
    """Check that a decision fits the verdict: a pass is approved, anything else is waived for a time, both can be rejected.

    Raises:
        InputError: it does not fit, its date has passed, or reviewer or reason are missing.
    """
    if not draft.reason.strip() or not draft.reviewer.strip():
        raise InputError("A sign-off names its reviewer and its reason.", next_step="--reviewer NAME --reason TEXT")
    if draft.ruling is Ruling.APPROVED and verdict is not Verdict.PASS:
        step = "calig waive … --expires DATE, or calig reject"
        raise InputError("Only a version that passed is approved.", got=f"verdict {verdict.value}", next_step=step)
    if draft.ruling is Ruling.WAIVED and verdict is Verdict.PASS:
        raise InputError("There is nothing to waive: the version passed.", next_step="calig approve")
    if draft.expires is not None and draft.expires < today:
        raise InputError("The waiver would have expired already.", got=draft.expires, allowed=f"{today} (UTC) or later")


def rule(record: GovernanceReport, sign_off: SignOff | None, config: GateConfig, today: date) -> Ruled:
    """The record's verdict under the decision that stands.

    Raises:
        InputError: a waiver is needed, accepted, and has expired.
    """
    verdict = record.decision.verdict
    if sign_off is None:
        return Ruled(verdict, checks=_approval(config, text="nobody has signed off, required: an approval"))
    said = f"{sign_off.ruling.value} by {sign_off.reviewer} on {sign_off.signed_at.date()}: {sign_off.reason}"
    if sign_off.ruling is Ruling.REJECTED:
        step = "a new version, or a later decision: calig approve or calig waive"
        return Ruled(Verdict.FAIL, (_check(CheckVerdict.FAIL, said),), (said,), step)
    if sign_off.ruling is Ruling.APPROVED:
        return Ruled(verdict, (_check(CheckVerdict.PASS, said),))
    return _waiver(record, sign_off, said, config, today)


def _waiver(record: GovernanceReport, waiver: SignOff, said: str, config: GateConfig, today: date) -> Ruled:
    """A waiver counts where the gate accepts it, until it expires; a version that passes by itself needs none."""
    verdict, said = record.decision.verdict, f"{said} (until {waiver.expires})"
    if verdict is Verdict.PASS:
        text = f"{said}; required: an approval"
        return Ruled(verdict, _approval(config, text=text) or (_check(CheckVerdict.NOT_APPLICABLE, said),))
    if not config.accept_waivers:
        ignored = f"{said}; this gate does not accept waivers (setting gate.accept_waivers)"
        return Ruled(verdict, (_check(CheckVerdict.NOT_APPLICABLE, ignored),))
    if waiver.expired(today):
        raise InputError(
            f"The waiver of {record.model.uri} has expired, and its verdict is {verdict.value}.",
            got=said,
            next_step="mend what failed, or decide again: calig waive … --expires DATE",
        )
    return Ruled(Verdict.PASS, (_check(CheckVerdict.PASS, said),), (said,), f"mend what was waived before {waiver.expires}", True)


def waived(check: GateCheck) -> GateCheck:
    """A check of the record that a waiver lifts: shown as what it is, and no longer in the way."""
    if not check.blocks:
        return check
    return check.model_copy(update={"severity": Severity.WARNING, "text": f"waived: {check.text}"})


def _approval(config: GateConfig, *, text: str) -> tuple[GateCheck, ...]:
    """What is missing where the gate asks for an approval."""
    return (_check(CheckVerdict.INCONCLUSIVE, text),) if config.require_approval else ()


def _check(verdict: CheckVerdict, text: str) -> GateCheck:
    return GateCheck(group="gate", name="sign-off", verdict=verdict, severity=Severity.CRITICAL, text=text)


_DAY_S = 86_400.0


def judge(
    evidence: Evidence,
    config: GateConfig,
    *,
    now: datetime,
    standing: Standing | None = None,
    around: Circumstances = Circumstances(),  # noqa: B008 - frozen
) -> GateResult:
    """The record's own verdict; a reviewer's rejection makes it `fail`, a waiver that the gate accepts makes it pass.

    A pass is `inconclusive` when it does not meet what the gate asks for. `standing` is what keys and reviewers say of the
    record, checked; None: nobody was asked.

    Raises:
        InputError: the verdict is not pass, and the waiver that would let it through has expired.
    """
    record = evidence.record
    age_days = (now - record.created_at).total_seconds() / _DAY_S
    ruled = rule(record, None if standing is None else standing.sign_off, config, now.date())
    asked = [*_asked(record, config, age_days), *ruled.checks, *policy_checks(evidence, config, around, standing)]
    lacking = [check for check in asked if check.blocks]
    verdict = Verdict.INCONCLUSIVE if lacking and ruled.verdict is Verdict.PASS else ruled.verdict
    return GateResult(
        model=record.model.name,
        version=record.model.version,
        verdict=verdict,
        reasons=tuple(dict.fromkeys((*ruled.reasons, *(check.text for check in lacking), *record.decision.reasons))),
        next_step=ruled.next_step or _next_step(record, lacking),
        checks=(*(waived(check) if ruled.waives else check for check in _checks(record)), *asked),
        explained_at=record.created_at,
        age_days=round(age_days, 3),
        fingerprint=record.fingerprint,
        record_digest=record.content_digest() if standing is None else standing.seal.record_sha256,
        signature=signature_of(None if standing is None else standing.seal),
        run_id=evidence.run_id,
        run_url=evidence.run_url,
    )


def _checks(record: GovernanceReport) -> Iterator[GateCheck]:
    """All that the record judged."""
    yield _decided(record)
    yield from map(_quality_check, record.quality.checks)
    yield from _drift_checks(record.drift)
    yield from _probe_checks(record)


def _asked(record: GovernanceReport, config: GateConfig, age_days: float) -> Iterator[GateCheck]:
    """Checks of the gate's own; what they find wanting was not judged, so it is inconclusive."""
    if config.max_age_days is not None:
        held = 0.0 <= age_days <= config.max_age_days
        yield gate_check("age", held, f"explained {age_days:.1f} days ago, required at most {config.max_age_days:g}")
    if config.require_reference:
        reference = record.drift.reference
        held = reference is not None and record.drift.verdict is not CheckVerdict.NOT_APPLICABLE
        against = "nothing" if reference is None else f"version {reference.version}"
        yield gate_check("reference", held, f"compared with {against}, required: with an earlier version")


def _decided(record: GovernanceReport) -> GateCheck:
    verdict = CheckVerdict(record.decision.verdict.value)
    text = "; ".join(record.decision.reasons)
    return GateCheck(group="gate", name="published verdict", verdict=verdict, severity=Severity.CRITICAL, text=text)


def _quality_check(check: Check) -> GateCheck:
    text = f"{in_words(check.observed)}, required {check.requirement}" + (f". {check.explanation}" if check.explanation else "")
    return GateCheck(group="quality", name=check.name, verdict=check.verdict, severity=check.severity, text=text)


def _drift_checks(drift: DriftReport) -> Iterator[GateCheck]:
    yield GateCheck(group="drift", name="verdict", verdict=drift.verdict, severity=Severity.CRITICAL, text=drift.reason)
    yield from (_shift_check(shift, drift) for shift in drift.word_shifts if shift.gravity)
    yield from (_statistic_check(statistic) for statistic in drift.statistics)


def _shift_check(shift: WordShift, drift: DriftReport) -> GateCheck:
    """As grave as the verdict that it led to; a word that only warned led to none."""
    failed = shift.fires and drift.verdict is CheckVerdict.FAIL
    severity = Severity.CRITICAL if failed else Severity.WARNING
    name = f"word shift: {shift.word}" + ("" if shift.slice == "all" else f" ({shift.slice})")
    text = f"{shift.reference_share:+.0%} → {shift.candidate_share:+.0%} toward {shift.toward}, "
    text += f"effect {shift.effect:+.2f}, z {shift.z:.1f}, {shift.n} rows"
    return GateCheck(group="drift", name=name, verdict=CheckVerdict.FAIL, severity=severity, text=text)


def _probe_checks(record: GovernanceReport) -> Iterator[GateCheck]:
    """The vocabulary probe, where the record has one, and the words beyond its limits."""
    if record.probe is None:
        return
    probe = record.probe
    yield GateCheck(group="probe", name="verdict", verdict=probe.verdict, severity=Severity.CRITICAL, text=probe.reason)
    for word in probe.words:
        if word.severity is not None:
            text = f"{word.reference_effect:+.2f} → {word.candidate_effect:+.2f} logits toward {word.toward}, z {word.z:.1f}"
            name = f"probed word: {word.word}{word.where} ({word.toward})"
            yield GateCheck(group="probe", name=name, verdict=CheckVerdict.FAIL, severity=word.severity, text=text)


def _statistic_check(statistic: Statistic) -> GateCheck:
    """Diffuse statistics warn; one that was not measured does not apply."""
    judged = CheckVerdict.FAIL if statistic.fires else CheckVerdict.PASS
    value = "not measured" if statistic.value is None else f"{statistic.value:.4g}"
    return GateCheck(
        group="drift",
        name=f"{statistic.name} ({statistic.slice})",
        verdict=CheckVerdict.NOT_APPLICABLE if statistic.value is None else judged,
        severity=Severity.WARNING,
        text=f"{value} on {statistic.n} rows, {statistic.direction.value}" + (", beyond its limit" if statistic.fires else ""),
    )


def _next_step(record: GovernanceReport, lacking: list[GateCheck]) -> str:
    if not lacking or record.decision.verdict is not Verdict.PASS:
        return record.decision.next_step
    again = f"explain it again: calig explain {record.model.uri} --dataset … --force"
    if any(check.name == "settings" for check in lacking):
        return f"{again}; or give the gate the settings that it is meant to be explained by: --config FILE"
    return again
