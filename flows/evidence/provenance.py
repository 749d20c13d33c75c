"""Evidence that a comparison may rest on: the newest of its version, sealed, and signed where keys are trusted.

What a version is compared with decides its verdict. So no tag of a reference, twin or accepted version chooses its evidence,
and none of its tables is used before record and tables are verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components import drift, registry, signing
from components.common.errors import CaligError, InputError
from components.records.record import read_record
from flows.evidence.standing import evidence_in, explanation_of, require_trusted
from schemas.base import Verdict
from schemas.config import PipelineConfig
from schemas.evidence import Evidence, SealState
from schemas.reference import ReferenceProfile
from schemas.release import ModelRef
from schemas.signature import Chain, Ruling, TrustList


def trusted_keys(config: PipelineConfig) -> TrustList:
    """The keys whose signatures count for a run with these settings."""
    return signing.load_trust(config.governance.trusted_keys)


def verified_evidence(ref: ModelRef, trusted: TrustList) -> Evidence:
    """The newest explanation of a version, fit to be built on.

    Raises:
        InputError: there is none, none that is its own, or one that a comparison must not rest on.
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    evidence = explanation_of(ref, trusted)
    _require_sealed(evidence, trusted)
    return evidence


def profile_of(evidence: Evidence, workspace: Path) -> ReferenceProfile:
    """The tables of verified evidence, checked by the digests that its record names, with whose they are; errors as above."""
    return _with_run(drift.load_profile(registry.fetch_profile(evidence, workspace)), evidence.run_id)


def profile_in_folder(folder: Path, trusted: TrustList) -> ReferenceProfile:
    """The profile in a results folder, every file of which is as it was sealed; InputError when one is not."""
    found = signing.verify_folder(folder, trusted)
    if found.state is SealState.TAMPERED:
        got = f"{folder}: {'; '.join(found.findings)}"
        raise InputError("The evidence in this folder does not verify.", got=got, next_step=f"calig verify {folder}")
    _require_sealed(evidence_in(folder, trusted), trusted)
    return drift.load_profile(folder)


def was_accepted(evidence: Evidence, trusted: TrustList) -> bool:
    """Whether the explanation passed, or a reviewer let the version through, and no reviewer has rejected it."""
    decided = signing.standing(list(_chains(evidence, trusted)))
    if decided is not None:
        return decided.ruling is not Ruling.REJECTED
    return evidence.record.decision.verdict is Verdict.PASS


def honest_evidence(ref: ModelRef, trusted: TrustList) -> Evidence:
    """The evidence of a version that training noise may be measured on: it passed itself, and nobody rejected it.

    Raises:
        NotHonestError: it may not, and why, as what it did. Other errors as for `verified_evidence`.
    """
    evidence = verified_evidence(ref, trusted)
    verdict = evidence.record.decision.verdict
    if verdict is not Verdict.PASS:
        raise NotHonestError(f"did not pass itself (its verdict is {verdict.value})")
    if not was_accepted(evidence, trusted):
        raise NotHonestError("was rejected by a reviewer")
    return evidence


class NotHonestError(InputError):
    """A version is no measure of honest training; the problem is what it did."""


def reason_unusable(error: CaligError) -> str:
    """Why the version's evidence cannot be used, as the predicate of a sentence about it."""
    if isinstance(error, registry.NeverExplainedError):
        return "was never explained"
    if isinstance(error, NotHonestError):
        return error.problem
    said = [line for line in str(error).splitlines() if not line.startswith("next: ")]
    return f"left evidence that cannot be used: {'; '.join(said)}"


def _require_sealed(evidence: Evidence, trusted: TrustList) -> None:
    require_trusted(evidence, trusted)
    if evidence.seal is None or evidence.seal.state is SealState.UNSEALED:
        uri = evidence.record.model.uri
        raise InputError(f"The evidence of {uri} has no seal.", next_step=f"explain it again: calig explain {uri} … --force")


def _chains(evidence: Evidence, trusted: TrustList) -> Iterator[Chain]:
    """The sign-offs that verify. Those of reviewers whose keys are not trusted here neither help nor hinder."""
    for papers in evidence.papers:
        try:
            yield signing.read_chain(papers, read_record(papers.record, papers.run_id), trusted)
        except InputError:
            yield Chain(run_id=papers.run_id, entries=())


def _with_run(profile: ReferenceProfile, run_id: str | None) -> ReferenceProfile:
    return profile.model_copy(update={"identity": profile.identity.model_copy(update={"run_id": run_id})})
