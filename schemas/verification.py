"""Verification: what `calig verify` found, and what the gate knows of signature and sign-offs."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.base import Record
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


class Standing(Record):
    """What people and keys say of a record, checked: for the gate."""

    seal: Verification
    sign_off: SignOff | None = Field(description="the decision that stands; None: nobody has decided")
    doubts: tuple[str, ...] = Field(default=(), description="why a newer explanation of the version may exist")
