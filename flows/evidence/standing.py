"""Standing of a version's evidence: seal, signature and sign-offs, read from the evidence itself; tags only mirror it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from components import drift, registry, signing
from components.common.errors import InputError
from components.records.record import read_record
from schemas.evidence import Evidence, RunPapers, SealState, Standing, Verification
from schemas.release import ModelRef
from schemas.signature import Chain, TrustList


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
