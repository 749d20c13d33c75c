"""Published evidence as it is read back: a record with where it was found, and all versions of a model with theirs."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from schemas.base import Record
from schemas.governance import GovernanceReport


class Evidence(Record):
    """A record with where it was found."""

    record: GovernanceReport
    run_id: str | None = Field(default=None, description="MLflow run; None: a results folder")
    run_url: str | None = None


class VersionEntry(Record):
    """A version of a registered model, explained or not."""

    version: str
    created_at: datetime
    aliases: tuple[str, ...] = ()
    evidence: Evidence | None = None
    problem: str | None = Field(default=None, description="why there is no evidence; None with evidence")


class RunPapers(Record):
    """The documents of one published explanation, as they were found, byte by byte."""

    run_id: str
    record: bytes
    seal: bytes | None
    sign_offs: tuple[bytes, ...] = Field(description="in the order of their names")


class VersionPapers(Record):
    """The documents of every complete explanation of a version, and what the registry says of the version itself."""

    source_run_id: str | None = Field(description="MLflow run that logged the model")
    papers: tuple[RunPapers, ...] = Field(description="newest run first")
    empty: tuple[str, ...] = Field(default=(), description="complete runs that hold no record any more")
