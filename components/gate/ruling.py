"""Rules of sign-off: which decision fits a verdict, and the verdict under the decision that stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from components.common.errors import InputError
from schemas.base import CheckVerdict, Severity, Verdict
from schemas.config import GateConfig
from schemas.gate import GateCheck
from schemas.governance import GovernanceReport
from schemas.signoff import Ruling, SignOff, SignOffDraft


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
