"""The reference: the version compared with, its published files, and the versions that measure the noise."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from schemas.base import Record
from schemas.config.governing import PrivacyConfig
from schemas.fusion import FusionSettings


class ReferenceIdentity(Record):
    """The version compared with."""

    name: str
    version: str
    alias: str | None = None
    run_id: str | None = Field(default=None, description="MLflow run with the explanation whose tables were used")
    record_sha256: str | None = Field(
        default=None, description="SHA-256 of that explanation's record.json, whose seal was verified; `calig verify --chain`"
    )
    uri: str | None = Field(default=None, description="where the model can be fetched: models:/NAME/VERSION, folder, or hub id")
    method_fingerprint: str
    weights_digest: str
    accuracy: float | None = None


class ReferenceProfile(Record):
    """What a version leaves for its successors to be compared with: its identity, and where its attributions are."""

    schema_version: Literal["1"] = "1"
    identity: ReferenceIdentity
    dataset_digest: str
    labels: tuple[str, ...]
    fusion: FusionSettings = Field(description="a later version with fusion_coefficient: auto is explained with the same")
    tables: tuple[Path, ...] = Field(description="Parquet files in the form of schemas.attribution.SCHEMA")
    privacy: PrivacyConfig = Field(default=PrivacyConfig(), description="how the texts in them are covered")


class NullProfiles(Record):
    """Versions whose differences are honest: reseeded twins of the reference, or earlier versions that were accepted."""

    kind: Literal["twins", "history"]
    profiles: tuple[ReferenceProfile, ...] = Field(description="twins in any order; history in the order of the versions")
    skipped: tuple[str, ...] = Field(default=(), description="versions that could not be used, each with its reason")


class Doubt(Record):
    """Why a comparison with this reference can find a change, but no pass can rest on it."""

    reason: str
    next_step: str


class NoiseSources(Record):
    """What the noise floor of a comparison can be measured on."""

    nulls: tuple[NullProfiles, ...] = Field(default=(), description="the first that suffices is used")
    numerics: tuple[Path, ...] = Field(default=(), description="tables of some of the candidate's rows, explained more exactly")
    problem: str = Field(default="", description="why there is no such table, if it should be there")
