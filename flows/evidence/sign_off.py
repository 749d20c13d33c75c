"""`calig approve`, `reject`, `waive`: a reviewer's decision, put beside the evidence once it has been verified."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from components import registry, signing
from components.common.errors import InputError
from flows.cli.output import say
from flows.evidence.standing import explanation_of, require_known, standing_of
from flows.evidence.verify import in_words, verified_folder
from schemas.base import Record, Verdict
from schemas.config import GovernanceConfig
from schemas.evidence import Evidence, RunPapers
from schemas.signature import TrustList
from schemas.signoff import Ruling, SignOff


class Decided(Record):
    """A reviewer's decision before it is signed."""

    ruling: Ruling
    reviewer: str
    reason: str
    expires: date | None = None


def sign_off(model: str, decided: Decided, config: GovernanceConfig) -> int:
    """Add the decision to the version's evidence; 0.

    Raises:
        InputError: the evidence does not verify, the reviewer's key is missing or unknown, or the decision does not fit the
            verdict or the date.
    """
    now = datetime.now(UTC)
    signer = signing.signer_of(config)
    if signer is None:
        step = f"calig keys create FILE, then --key FILE or {signing.KEY_FILE}"
        raise InputError("There is no key to sign with.", next_step=step)
    trusted = signing.load_trust(config.trusted_keys)
    evidence = explanation_of(registry.parse_model_ref(model), trusted)
    _check_decision(evidence, decided, now.date())
    entry = _signed(evidence, _verified_papers(evidence, trusted), decided, signer, now)
    signing.check_reviewer(entry, trusted, "this sign-off")
    digest = signing.digest_of_entry(entry.canonical())
    registry.add_sign_off(evidence, entry, signing.entry_name(entry.number), digest)
    say(f"{evidence.record.model.uri}, sign-off {in_words(entry)}")
    return 0


def _check_decision(evidence: Evidence, decided: Decided, today: date) -> None:
    """A decision that fits the verdict: a pass is approved, anything else is waived for a time, and both can be rejected."""
    verdict = evidence.record.decision.verdict
    if not decided.reason.strip() or not decided.reviewer.strip():
        raise InputError("A sign-off names its reviewer and its reason.", next_step="--reviewer NAME --reason TEXT")
    if decided.ruling is Ruling.APPROVED and verdict is not Verdict.PASS:
        step = "calig waive … --expires DATE, or calig reject"
        raise InputError("Only a version that passed is approved.", got=f"verdict {verdict.value}", next_step=step)
    if decided.ruling is Ruling.WAIVED and verdict is Verdict.PASS:
        raise InputError("There is nothing to waive: the version passed.", next_step="calig approve")
    if decided.expires is not None and decided.expires < today:
        raise InputError("The waiver would have expired already.", got=decided.expires, allowed=f"{today} (UTC) or later")


def _verified_papers(evidence: Evidence, trusted: TrustList) -> RunPapers:
    """What has been decided before, after all that the reviewer may have looked at proved to be unchanged."""
    with TemporaryDirectory() as temporary:
        _, seal = verified_folder(evidence, Path(temporary), trusted)
    require_known(seal)
    standing_of(evidence, trusted)
    return evidence.papers[0]


def _signed(evidence: Evidence, papers: RunPapers, decided: Decided, signer: signing.Signer, now: datetime) -> SignOff:
    return signing.next_entry(
        papers,
        evidence.record,
        ruling=decided.ruling,
        reviewer=decided.reviewer,
        reason=decided.reason,
        expires=decided.expires,
        signer=signer,
        now=now,
    )
