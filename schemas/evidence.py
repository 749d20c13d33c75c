"""Published evidence as it is read back: what its seal and sign-offs say, where it was found, and what came of its replay."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from schemas.base import CheckVerdict, Record, Verdict
from schemas.governance import GovernanceReport
from schemas.release import RegisteredVersion
from schemas.signature import SignOff


class SealState(StrEnum):
    """How far evidence can be relied on."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    UNSEALED = "unsealed"
    UNKNOWN_KEY = "unknown key"
    TAMPERED = "tampered"


class Verification(Record):
    """A record with what its seal says about it and the evidence beside it."""

    state: SealState
    record_sha256: str = Field(description="SHA-256 of record.json as it is")
    key_id: str | None = Field(default=None, description="id of the key that signed the seal")
    signed_by: str | None = Field(default=None, description="name under which that key is trusted")
    findings: tuple[str, ...] = Field(default=(), description="what does not hold")


class Link(Record):
    """One explanation in the chain of what was compared with what."""

    model: str
    version: str
    run_id: str | None = Field(description="MLflow run; None: a results folder, or not found")
    record_sha256: str = Field(description="as the record that was compared with it names it; of the first, as it is")
    seal: Verification | None = Field(description="what its files turn out to be; None: not found")
    verdict: Verdict | None = Field(description="None: not found")
    problem: str = Field(default="", description="why it could not be followed; empty: it could")


class ReferenceChain(Record):
    """The explanations from one version back to the first release, each named by the digest in the one before."""

    links: tuple[Link, ...]
    complete: bool = Field(description="the last link is of a first release, which was compared with nothing")
    end: str = Field(description="why the chain ends where it does")


class Standing(Record):
    """What people and keys say of a record, checked: for the gate."""

    seal: Verification
    sign_off: SignOff | None = Field(description="the decision that stands; None: nobody has decided")
    doubts: tuple[str, ...] = Field(default=(), description="why a newer explanation of the version may exist")
    chain: ReferenceChain | None = Field(
        default=None, description="what it was compared with, back to the first; None: not asked"
    )


class ReplayOutcome(StrEnum):
    """How far what was computed again is what was published."""

    EXACT = "bit for bit"
    WITHIN = "within tolerance"
    DIFFERS = "differs"


class EnvironmentChange(Record):
    """Something about the surroundings that is not as it was."""

    name: str
    recorded: str
    now: str


class RowReplay(Record):
    """One row, published and computed again."""

    row: int
    id: str
    exact: bool
    change: float | None = Field(
        description="largest Σ|change| / Σ|attribution| over result and layers, and of the logits; lower is better; None: "
        "tokens, class or problem differ"
    )
    note: str = ""


class ReplayReport(Record):
    """Printed by `calig replay --json`."""

    model: str
    version: str
    record_sha256: str
    outcome: ReplayOutcome
    tolerance: float
    n_rows: int
    n_exact: int
    largest_change: float | None = Field(description="over the rows that can be compared; None: none can")
    rows: tuple[RowReplay, ...] = Field(description="at most 20 that are beyond the tolerance, worst first")
    n_beyond: int
    causes: tuple[str, ...] = Field(description="what cannot be the same any more: weights, formula")
    environment: tuple[EnvironmentChange, ...] = Field(description="what differs between the record's surroundings and these")


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
