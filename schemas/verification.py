"""Verification: the result of `calig verify`, and what the gate knows of signature and sign-offs."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.base import Record, Verdict
from schemas.signoff import SignOff


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
