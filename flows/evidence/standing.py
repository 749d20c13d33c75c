"""Standing of a version's evidence: seal, signature and sign-offs, and whether a comparison may rest on it.

All is read from the evidence itself; tags only mirror it. What a version is compared with decides its verdict. So no tag of a
reference, twin or accepted version chooses its evidence, and none of its tables is used before record and tables are verified.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from components import drift, registry, signing
from components.common.errors import CaligError, InputError
from components.records import read_record
from schemas.base import Verdict
from schemas.config import PipelineConfig
from schemas.evidence import Evidence, RunPapers, SealState, Standing, Verification
from schemas.reference import ReferenceProfile
from schemas.release import ModelRef
from schemas.signature import Chain, Ruling, TrustList


def evidence_of(model: str, trusted: TrustList) -> Evidence:
    """The evidence that a version or a results folder holds; whether it is signed is in its `seal`.

    Raises:
        InputError: there is none, or none that is as it was written.
    """
    if drift.is_results_folder(model):
        return evidence_in(Path(model), trusted)
    return explanation_of(registry.parse_model_ref(model), trusted)


def explanation_of(ref: ModelRef, trusted: TrustList) -> Evidence:
    """The newest explanation of a version by these keys; errors and doubts as for `registry.newest_explanation`."""

    return registry.newest_explanation(ref, verifier(trusted))


def verifier(trusted: TrustList) -> registry.Verify:
    """How the registry, which knows no keys, has a record looked at."""
    return partial(signing.inspect_record, trusted=trusted)


def evidence_in(folder: Path, trusted: TrustList) -> Evidence:
    """The evidence in a results folder; it has sign-offs only as a copy of what was published."""
    seal = folder / signing.SEAL
    papers = RunPapers(
        run_id=str(folder),
        record=(folder / signing.RECORD).read_bytes(),
        seal=seal.read_bytes() if seal.is_file() else None,
        sign_offs=tuple(path.read_bytes() for path in sorted((folder / signing.SIGN_OFFS).glob("*"))),
    )
    record = read_record(papers.record, folder / signing.RECORD)
    return Evidence(record=record, seal=signing.verify_record(papers.record, papers.seal, trusted), papers=(papers,))


def standing_of(evidence: Evidence, trusted: TrustList) -> Standing:
    """Seal, signature and the sign-off that stands.

    Raises:
        InputError: a sign-off was tampered with, taken away, or is by a reviewer whose key is not trusted.
    """
    if evidence.seal is None:
        raise InputError("The seal of this evidence was not looked at.", next_step="report this error")
    return Standing(seal=evidence.seal, sign_off=signing.standing(chains_of(evidence, trusted)), doubts=evidence.doubts)


def chains_of(evidence: Evidence, trusted: TrustList) -> tuple[Chain, ...]:
    """The sign-offs of each explanation, checked one by one and against the version's tag; errors as for `standing_of`."""
    papers = evidence.papers
    chains = tuple(signing.read_chain(paper, read_record(paper.record, paper.run_id), trusted) for paper in papers)
    noted = registry.noted_sign_offs(evidence) if evidence.run_id is not None else frozenset()
    missing = noted - {signing.digest_of_entry(entry) for paper in papers for entry in paper.sign_offs}
    if missing:
        got = ", ".join(sorted(missing))
        raise signing.TamperedError("A sign-off is missing: the version or one of its runs names one that is not there.", got=got)
    return chains


def require_trusted(evidence: Evidence, trusted: TrustList) -> None:
    """Refuse published evidence that a later step must not build on: doubted, or unsigned where keys are trusted."""
    signed = evidence.seal is not None and evidence.seal.state is SealState.SIGNED
    unsigned = [] if signed or not trusted.found else ["no trusted key signed it"]
    if evidence.doubts or unsigned:
        uri = evidence.record.model.uri
        raise InputError(
            f"The evidence of {uri} cannot be built on.",
            got="; ".join((*unsigned, *evidence.doubts)),
            next_step=f"calig verify {uri}; explain it again with a signing key",
        )


def require_known(seal: Verification) -> None:
    """Refuse evidence whose seal is broken, or signed by a key that nobody trusts."""
    if seal.state in {SealState.TAMPERED, SealState.UNKNOWN_KEY}:
        raise InputError("The evidence does not verify.", got="; ".join(seal.findings), next_step="calig verify MODEL")


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
