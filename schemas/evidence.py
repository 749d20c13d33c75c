"""Published evidence as it is read back: a record with where it was found, and all versions of a model with theirs."""

from __future__ import annotations

import hashlib
from datetime import datetime

from pydantic import Field

from schemas.base import CheckVerdict, Record
from schemas.governance import GovernanceReport
from schemas.release import RegisteredVersion
from schemas.verification import Verification


class RunPapers(Record):
    """The documents of one published explanation, as they were found, byte by byte."""

    run_id: str
    record: bytes
    seal: bytes | None
    sign_offs: tuple[bytes, ...] = Field(description="in the order of their names")

    @property
    def record_sha256(self) -> str:
        """SHA-256 of the record's file."""
        return hashlib.sha256(self.record).hexdigest()


class PastProbe(Record):
    """Outcome of the vocabulary probe in one explanation of a version."""

    created_at: datetime = Field(description="when the explanation was made, as its record says")
    verdict: CheckVerdict


class Evidence(Record):
    """A record with where it was found, and what vouches for it."""

    record: GovernanceReport
    run_id: str | None = Field(default=None, description="MLflow run; None: a results folder")
    run_url: str | None = None
    seal: Verification | None = Field(default=None, description="what the seal says by the trusted keys; None: not looked at")
    papers: tuple[RunPapers, ...] = Field(
        default=(), description="the documents of this explanation, then those of others of the version that have sign-offs"
    )
    registered: RegisteredVersion | None = Field(default=None, description="the version as the registry has it now")
    doubts: tuple[str, ...] = Field(
        default=(), description="why a newer explanation may exist that cannot be read or relied on: no pass rests on this one"
    )
    probes: tuple[PastProbe, ...] = Field(
        default=(),
        description="the probe in every explanation of the version as trustworthy as this one, oldest first; none in a folder",
    )
    given_up: str | None = Field(default=None, description="why explaining it was given up since, if it was")


class VersionEntry(Record):
    """A version of a registered model, explained or not."""

    version: str
    created_at: datetime
    aliases: tuple[str, ...] = ()
    evidence: Evidence | None = None
    problem: str | None = Field(default=None, description="why there is no evidence; None with evidence")
