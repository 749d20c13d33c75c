"""Settings of privacy: how the data set's texts appear in everything written for people or published."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Record


class PrivacyConfig(Record):
    """How texts appear in tables, record, report, pages, alerts and tags. Ids, labels and segment values stay as they are."""

    texts: Literal["keep", "redact", "hash"] = Field(
        default="keep",
        description="keep: as they are; redact: words become blocks, and a word that a finding is about is named by its place; "
        "hash: words become keyed hashes (key: CALIG_TEXT_KEY_FILE or CALIG_TEXT_KEY), comparable under one key",
    )
    key_id: str | None = Field(
        default=None, description="which key `hash` used, filled in by the run; set it to demand that very key"
    )
