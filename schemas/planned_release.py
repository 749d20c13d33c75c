"""A planned run: model, data, settings and reference, all resolved, and the identities that follow from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from schemas.attribution import TABLE_VERSION
from schemas.base import CheckVerdict, Record, digest_of
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.fusion import FusionChoice
from schemas.probe import ProbeLevel
from schemas.reference import Doubt, NullProfiles, ReferenceProfile
from schemas.release import DatasetRef, ModelSnapshot, folder_name


class Release(Record):
    """A fetched version, a pinned data set, the settings, and what to compare with."""

    snapshot: ModelSnapshot
    dataset: DatasetRef
    config: PipelineConfig = Field(description="with the fusion in use, chosen or set")
    fusion_choice: FusionChoice | None = Field(description="None: the fusion was set in the configuration")
    suite_digest: str | None = Field(
        description="of what judges the quality: an edited suite is another judgement; None: nothing"
    )
    word_files: dict[str, str] = Field(
        default={}, description="setting that names a file of words → the file's SHA-256: an edited file is another comparison"
    )
    method_fingerprint: str
    reference: ReferenceProfile | None
    without_reference: DriftReport | None = Field(description="the drift finding when there is nothing comparable")
    doubt: Doubt | None = Field(default=None, description="why no pass can rest on a comparison with the reference")
    nulls: tuple[NullProfiles, ...] = Field(default=(), description="what the noise of honest retraining is measured on")
    probe_level: ProbeLevel | None = Field(
        default=None, description="the probe's level by the earlier versions' outcomes; None: the configured one"
    )
    pending: tuple[Release, ...] = Field(
        default=(), description="versions to be explained again by these settings first: the reference, its twins"
    )
    output: Path

    @property
    def attribution_key(self) -> str:
        """Identity of the attribution tables: model, data, method, and the tables' form."""
        snapshot = self.snapshot
        identity = [snapshot.weights_digest, snapshot.processor_digest, self.dataset.digest, self.method_fingerprint]
        return digest_of([*identity, self.config.attribution.shard_rows, TABLE_VERSION])[:16]

    @property
    def fingerprint(self) -> str:
        """Identity of the whole explanation: the above, all files of the version, all settings, and what it was compared with."""
        compared = None if self.reference is None else _identity(self.reference)
        chosen = None if self.fusion_choice is None else ("frozen" if self.fusion_choice.frozen_by else "chosen")
        nulls = [[_identity(profile) for profile in null.profiles] for null in self.nulls]
        doubt = None if self.doubt is None else self.doubt.reason
        unsure = self.without_reference is not None and self.without_reference.verdict is CheckVerdict.INCONCLUSIVE
        made_from = [self.attribution_key, self.snapshot.files_digest, self.config.results_dump(), self.suite_digest]
        files = [self.word_files] if self.word_files else []
        level = [] if self.probe_level is None else [{"probe_level": self.probe_level.level}]
        return digest_of([*made_from, compared, nulls, unsure, chosen, doubt, *files, *level])[:32]

    @property
    def n_shards(self) -> int:
        """Shards of the data set."""
        return -(-self.dataset.n_rows // self.config.attribution.shard_rows)

    @property
    def workspace(self) -> Path:
        """Where downloads, exports and shards are kept between runs."""
        return self.output / ".cache"

    @property
    def folder(self) -> Path:
        """Where this explanation's record, report and tables go."""
        return self.output / folder_name(self.snapshot.name) / self.snapshot.version / self.fingerprint[:12]

    def shard_path(self, index: int) -> Path:
        """Where a shard's table goes."""
        return self.workspace / self.shard_name(index)

    def shard_name(self, index: int) -> str:
        """A shard's table inside the workspace, and inside the store that workers elsewhere use."""
        return f"attributions/{self.attribution_key}/shard-{index:05d}.parquet"

    def scored_name(self, key: str, index: int) -> str:
        """The same of a shard's scored rows; `key`: see `ScoringPlan`."""
        return f"scored/{self.attribution_key}-{key}/shard-{index:05d}.parquet"

    def alone(self) -> Release:
        """What attributing needs of it: without what it will be compared with, which may name thousands of tables."""
        without = {"reference": None, "without_reference": None, "doubt": None, "nulls": (), "pending": (), "probe_level": None}
        return self.model_copy(update=without)


def _identity(profile: ReferenceProfile) -> dict[str, Any]:
    """Which version it is, and which record of it; not where its evidence lies."""
    return profile.identity.model_dump(mode="json", exclude={"uri", "run_id"})
