"""What keys and reviewers say of a version's evidence, read from the evidence itself and checked; tags only mirror it."""

from __future__ import annotations

from pathlib import Path

from components import registry, signing
from components.drift import load_record
from components.errors import InputError
from components.records import read_record
from schemas.evidence import Evidence, RunPapers
from schemas.signature import TrustList
from schemas.signoff import Chain
from schemas.verification import SealState, Standing, Verification


def standing_of(evidence: Evidence, papers: tuple[RunPapers, ...], trusted: TrustList) -> Standing:
    """Seal, signature and the sign-off that stands.

    Raises:
        InputError: record, seal or a sign-off was tampered with, taken away, or is by a reviewer whose key is not trusted.
    """
    own = papers[0]
    if read_record(own.record, own.run_id) != evidence.record:
        raise signing.TamperedError("The record changed while it was read.", got=own.run_id, next_step="run again")
    seal = signing.verify_record(own.record, own.seal, trusted)
    return Standing(seal=seal, sign_off=signing.standing(chains_of(evidence, papers, trusted)))


def chains_of(evidence: Evidence, papers: tuple[RunPapers, ...], trusted: TrustList) -> tuple[Chain, ...]:
    """The sign-offs of each explanation, checked one by one and against the version's tag; errors as for `standing_of`."""
    chains = tuple(signing.read_chain(paper, read_record(paper.record, paper.run_id), trusted) for paper in papers)
    noted = registry.noted_sign_off(evidence, None) if evidence.run_id is not None else None
    if noted is not None and noted not in {signing.digest_of_entry(entry) for paper in papers for entry in paper.sign_offs}:
        raise signing.TamperedError("A sign-off is missing: the version's tag names one that is not there.", got=noted)
    return chains


def require_known(seal: Verification) -> None:
    """Refuse evidence whose seal is broken, or signed by a key that nobody trusts."""
    if seal.state in {SealState.TAMPERED, SealState.UNKNOWN_KEY}:
        raise InputError("The evidence does not verify.", got="; ".join(seal.findings), next_step="calig verify MODEL")


def evidence_in(folder: Path) -> tuple[Evidence, tuple[RunPapers, ...]]:
    """The evidence in a results folder, and its papers; it has sign-offs only as a copy of what was published."""
    seal = folder / signing.SEAL
    papers = RunPapers(
        run_id=str(folder),
        record=(folder / signing.RECORD).read_bytes(),
        seal=seal.read_bytes() if seal.is_file() else None,
        sign_offs=tuple(path.read_bytes() for path in sorted((folder / signing.SIGN_OFFS).glob("*"))),
    )
    return Evidence(record=load_record(folder)), (papers,)


def evidence_of(model: str) -> tuple[Evidence, tuple[RunPapers, ...]]:
    """The evidence that a version or a results folder holds, and its papers."""
    if (Path(model) / signing.RECORD).is_file():
        return evidence_in(Path(model))
    evidence = registry.fetch_evidence(registry.parse_model_ref(model), None)
    return evidence, registry.fetch_papers(evidence, None)
