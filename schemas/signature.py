"""Signatures, and whose keys are trusted; the seal of a record and all evidence beside it; reviewers' sign-offs as a chain."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

import rfc8785
from pydantic import Field, model_validator

from schemas.base import Record

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Purpose = Literal["records", "sign-offs"]


class Signature(Record):
    """An Ed25519 signature (RFC 8032) over the canonical form of the document without it."""

    algorithm: Literal["Ed25519"] = "Ed25519"
    key_id: str = Field(description="SHA-256 of the raw public key, the first 32 hex digits")
    value: str = Field(description="64 bytes, base64")


class Signable(Record):
    """A document that carries its own signature."""

    signature: Signature | None

    def payload(self) -> bytes:
        """What is signed: the canonical form of everything but the signature. Each document's `kind` keeps them apart."""
        return rfc8785.dumps(self.model_dump(mode="json", exclude={"signature"}))

    def signed(self, signature: Signature) -> Self:
        """The same document with `signature`."""
        return self.model_copy(update={"signature": signature})


class FileDigest(Record):
    """One file beside the record."""

    sha256: Sha256
    n_bytes: int


class Seal(Signable):
    """The file `calig/seal.json`: what belongs to a record, by digest, and who vouches for it."""

    kind: Literal["calig.seal"] = "calig.seal"
    schema_version: Literal["1"] = "1"
    record_sha256: Sha256 = Field(description="of record.json, which is in canonical form")
    files: dict[str, FileDigest] = Field(description="every other file, by its path beside the record")
    sealed_at: datetime


class TrustedKey(Record):
    """A public key, under which name it is known, and what its signatures count for."""

    name: str = Field(min_length=1, description="a sign-off's reviewer must have this very name")
    key_id: str
    public_key: str = Field(description="32 bytes, base64")
    purposes: tuple[Purpose, ...] = Field(default=("records", "sign-offs"), min_length=1)


class TrustList(Record):
    """Whose signatures count."""

    keys: tuple[TrustedKey, ...] = ()
    found: bool = Field(default=False, exclude=True, description="whether there is a list at all: then signatures are asked for")

    def find(self, key_id: str) -> TrustedKey | None:
        """The key with this id, if it is trusted."""
        return next((key for key in self.keys if key.key_id == key_id), None)


class Ruling(StrEnum):
    """What a reviewer decides."""

    APPROVED = "approved"
    REJECTED = "rejected"
    WAIVED = "waived"


class SignOffDraft(Record):
    """A reviewer's decision before it is checked and signed."""

    ruling: Ruling
    reviewer: str
    reason: str
    expires: date | None = None


class SignOff(Signable):
    """The file `calig/signoff/0001.json` and those after it; written once, never changed."""

    kind: Literal["calig.sign-off"] = "calig.sign-off"
    schema_version: Literal["1"] = "1"
    number: int = Field(ge=1, description="place in the chain, from 1")
    previous: Sha256 | None = Field(description="SHA-256 of the entry before, as a file; None for the first")
    record_sha256: Sha256 = Field(description="of the record decided about")
    model: str
    version: str
    ruling: Ruling
    reviewer: str = Field(min_length=1, description="name under which the signing key is trusted")
    reason: str = Field(min_length=1)
    expires: date | None = Field(default=None, description="last day (UTC) on which a waiver holds; None for other rulings")
    signed_at: datetime

    @model_validator(mode="after")
    def _expiry_of_waivers_alone(self) -> Self:
        if (self.ruling is Ruling.WAIVED) != (self.expires is not None):
            raise ValueError("a waiver has an expiry, and nothing else has")
        return self

    def expired(self, on: date) -> bool:
        """Whether it no longer holds on that day (UTC)."""
        return self.expires is not None and on > self.expires


class Chain(Record):
    """All sign-offs of one published explanation, read and checked."""

    run_id: str
    entries: tuple[SignOff, ...] = Field(description="oldest first")

    @property
    def last(self) -> SignOff | None:
        """The decision that stands within this chain."""
        return self.entries[-1] if self.entries else None
