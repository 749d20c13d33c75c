"""Verified explanations of a version: sealed, signed where keys are trusted, and about that very version.

What a version is compared with decides its verdict, so nothing that anybody may edit chooses it: no tag of the version is
asked, every explanation is verified by the list of trusted keys, and the newest that fits is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from components import drift, registry, signing
from components.errors import InputError
from components.records import read_record
from schemas.base import Verdict
from schemas.config import PipelineConfig
from schemas.evidence import RunPapers, VersionPapers
from schemas.governance import GovernanceReport
from schemas.reference import ReferenceProfile
from schemas.signature import TrustList
from schemas.signoff import Chain, Ruling


class Explained(NamedTuple):
    """One explanation of a version that can be relied on."""

    papers: RunPapers
    record: GovernanceReport

    @property
    def record_sha256(self) -> str:
        """SHA-256 of its record.json."""
        return hashlib.sha256(self.papers.record).hexdigest()


class Provenance(NamedTuple):
    """What a version left that can be relied on."""

    name: str
    version: str
    explained: tuple[Explained, ...]
    problems: tuple[str, ...]
    accepted: bool

    @property
    def problem(self) -> str:
        """Why there is nothing to rely on."""
        return f"left no evidence to rely on: {self.problems[0]}" if self.problems else "was never explained"

    def chosen(self, fits: Callable[[GovernanceReport], bool]) -> Explained | None:
        """The newest explanation that `fits`, else the newest; None when there is none to rely on."""
        return next((one for one in self.explained if fits(one.record)), next(iter(self.explained), None))


def trusted_keys(config: PipelineConfig) -> TrustList:
    """The keys whose signatures count for a run with these settings."""
    return signing.load_trust(config.governance.trusted_keys)


def provenance_of(name: str, version: str, trusted: TrustList) -> Provenance:
    """The explanations of a registered version that can be relied on, the newest first by what their records say.

    `accepted`: one of them passed, or a reviewer let the version through, and none has rejected it.

    Raises:
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    found = registry.fetch_version_papers(name, version, None)
    if found is None:
        return Provenance(name, version, (), ("the version does not exist",), accepted=False)
    explained, problems = [], [f"run {run_id}: it holds no record" for run_id in found.empty]
    for papers in found.papers:
        try:
            explained.append(Explained(papers, _record(papers, found, (name, version), trusted)))
        except InputError as error:
            problems.append(f"run {papers.run_id}: {error.problem}")
    newest_first = tuple(sorted(explained, key=lambda one: one.record.created_at, reverse=True))
    return Provenance(name, version, newest_first, tuple(problems), _is_accepted(newest_first, trusted))


def fetch_profile(provenance: Provenance, explained: Explained, trusted: TrustList, workspace: Path) -> ReferenceProfile:
    """The tables of an explanation, every file verified against the seal, with who they are of.

    Raises:
        InputError: a file is missing or changed, or the tables cannot be used.
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    folder = registry.fetch_explanation(provenance.name, provenance.version, explained.papers, workspace, None)
    return folder_profile(folder, trusted, run_id=explained.papers.run_id)


def folder_profile(folder: Path, trusted: TrustList, run_id: str | None = None) -> ReferenceProfile:
    """The profile in a results folder whose seal holds; InputError as above."""
    reason = signing.unreliable(signing.verify_folder(folder, trusted), trusted)
    if reason is not None:
        raise InputError(f"the evidence cannot be relied on: {reason}", got=folder, next_step="calig verify MODEL")
    profile = drift.load_profile(folder)
    return profile.model_copy(update={"identity": profile.identity.model_copy(update={"run_id": run_id})})


def _record(papers: RunPapers, version: VersionPapers, names: tuple[str, str], trusted: TrustList) -> GovernanceReport:
    """The record in `papers`; refused when its seal does not hold, no trusted key signed it, or it is about something else."""
    reason = signing.unreliable(signing.verify_record(papers.record, papers.seal, trusted), trusted)
    if reason is not None:
        raise InputError(reason)
    record = read_record(papers.record, f"run {papers.run_id}")
    if (record.model.name, record.model.version) != names:
        raise InputError(f"its record is about {record.model.name} {record.model.version}")
    if record.model.source_run_id != version.source_run_id:
        raise InputError("its record is about another model that had this name and number")
    return record


def _is_accepted(explained: Sequence[Explained], trusted: TrustList) -> bool:
    decided = signing.standing(list(_chains(explained, trusted)))
    if decided is not None:
        return decided.ruling is not Ruling.REJECTED
    return any(one.record.decision.verdict is Verdict.PASS for one in explained)


def _chains(explained: Sequence[Explained], trusted: TrustList) -> Iterator[Chain]:
    """The sign-offs that verify. Those of reviewers whose keys are not trusted here neither help nor hinder."""
    for one in explained:
        try:
            yield signing.read_chain(one.papers, one.record, trusted)
        except InputError:
            yield Chain(run_id=one.papers.run_id, entries=())
