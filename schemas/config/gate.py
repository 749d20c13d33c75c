"""Settings of the gate: what `calig gate` requires beyond a verdict of pass."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Record

Reference = Annotated[str, Field(pattern=r"^(champion|any|models:/[^/@:]+/[0-9]+)$")]
#: A name, or the first digits of a SHA-256.
Identity = Annotated[str, Field(min_length=1)]


class GateConfig(Record):
    """What `calig gate` asks for beyond a verdict of pass; what is not met is inconclusive. Part of no fingerprint."""

    max_age_days: float | None = Field(default=None, gt=0.0, description="an older explanation is inconclusive; empty: any age")
    settings: Literal["as strict", "any"] = Field(
        default="as strict",
        description="settings of the explanation: as strict as in this file (or the defaults), setting by setting; any: not "
        "compared",
    )
    dataset: Identity | None = Field(
        default=None,
        description="name of the data set, or 12 or more digits of its SHA-256, that has to be explained; empty: any",
    )
    min_rows: int | None = Field(default=None, ge=1, description="fewer explained rows are inconclusive; empty: any number")
    suite: Identity | None = Field(
        default=None,
        description="name of the suite that has to judge the quality, or 12 or more digits of its SHA-256; empty: the one of "
        "quality.suite, unless gate.settings is any",
    )
    reference: Reference = Field(
        default="champion",
        description="what the version has to be compared with: champion (what @champion is now, when there is one), a version "
        "(models:/NAME/VERSION), or any",
    )
    require_reference: bool = Field(
        default=False, description="a version that was compared with none is inconclusive, also a first release"
    )
    promote: bool = Field(default=False, description="move @champion to the version when, and only when, the gate says pass")
    check_weights: bool = Field(
        default=False,
        description="download the version and compare its weights with those that were explained; before a promotion always",
    )
    require_signature: bool = Field(
        default=False,
        description="a record that is not signed by a trusted key is inconclusive; so it is wherever there is a list of trusted "
        "keys (`calig keys`)",
    )
    require_approval: bool = Field(default=False, description="a version that no reviewer has approved is inconclusive")
    accept_waivers: bool = Field(
        default=False, description="a waiver that has not expired lets a version pass that failed or could not be judged"
    )
