"""Settings of governance: statements about the model, and the keys that sign and are trusted. Part of no fingerprint."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from schemas.base import Record


class GovernanceConfig(Record):
    """Who answers for the model, what it is for, and whose signatures count."""

    owner: str | None = Field(default=None, description="who answers for the model; goes into the record")
    intended_use: str | None = Field(default=None, description="what the model is meant for; goes into the record as its scope")
    split: str | None = Field(default="validation", description="which split the rows are; goes into the record")
    signing_key: Path | None = Field(
        default=None,
        description="private key file that records and sign-offs are signed with (`calig keys create`); empty: the file that "
        "CALIG_SIGNING_KEY_FILE names, else no signature",
    )
    trusted_keys: Path | None = Field(
        default=None,
        description="list of public keys that count (`calig keys trust`); empty: the file that CALIG_TRUSTED_KEYS names, else "
        "the user's own",
    )
    replay_tolerance: float = Field(
        default=1e-3,
        gt=0.0,
        lt=1.0,
        description="`calig replay`: largest Σ|change| of a row's attributions, as a share of Σ|attribution|, that is rounding",
    )
