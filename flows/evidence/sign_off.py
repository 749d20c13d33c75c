"""`calig approve`, `reject`, `waive`: adds a reviewer's signed decision to verified evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from components import gate, registry, signing
from components.common.errors import InputError
from flows.cli.output import say
from flows.evidence.standing import explanation_of, require_known, standing_of
from flows.evidence.verify import describe_sign_off, download_verified
from schemas.config import GovernanceConfig
from schemas.evidence import Evidence, RunPapers
from schemas.signature import SignOff, SignOffDraft, TrustList


def sign_off(model: str, draft: SignOffDraft, config: GovernanceConfig) -> int:
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
    gate.check_draft(draft, evidence.record.decision.verdict, now.date())
    entry = _signed(evidence, _verified_papers(evidence, trusted), draft, signer, now)
    signing.check_reviewer(entry, trusted, "this sign-off")
    digest = signing.digest_of_entry(entry.canonical())
    registry.add_sign_off(evidence, entry, signing.entry_name(entry.number), digest)
    say(f"{evidence.record.model.uri}, sign-off {describe_sign_off(entry)}")
    return 0


def _verified_papers(evidence: Evidence, trusted: TrustList) -> RunPapers:
    """What has been decided before, after all that the reviewer may have looked at proved to be unchanged."""
    with TemporaryDirectory() as temporary:
        _, seal = download_verified(evidence, Path(temporary), trusted)
    require_known(seal)
    standing_of(evidence, trusted)
    return evidence.papers[0]


def _signed(evidence: Evidence, papers: RunPapers, draft: SignOffDraft, signer: signing.Signer, now: datetime) -> SignOff:
    return signing.next_entry(
        papers,
        evidence.record,
        ruling=draft.ruling,
        reviewer=draft.reviewer,
        reason=draft.reason,
        expires=draft.expires,
        signer=signer,
        now=now,
    )
