"""SignOff: one reviewer's signed and dated decision about one record, chained to the decision before."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.base import Record
from schemas.signature import Sha256, Signable


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
