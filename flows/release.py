"""One release to explain: everything that is settled before any work begins, and the identities that follow from it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from schemas.base import CheckVerdict, Record, digest_of
from schemas.config import PipelineConfig
from schemas.drift import DriftReport, ReferenceProfile
from schemas.fusion import FusionChoice
from schemas.release import DatasetRef, ModelSnapshot


class Release(Record):
    """A fetched version, a pinned data set, the settings, and what to compare with."""

    snapshot: ModelSnapshot
    dataset: DatasetRef
    config: PipelineConfig = Field(description="with the fusion in use, chosen or set")
    fusion_choice: FusionChoice | None = Field(description="None: the fusion was set in the configuration")
    method_fingerprint: str
    reference: ReferenceProfile | None
    without_reference: DriftReport | None = Field(description="the drift finding when there is nothing comparable")
    output: Path

    @property
    def attribution_key(self) -> str:
        """Identity of the attribution values: model, data and method."""
        snapshot = self.snapshot
        identity = [snapshot.weights_digest, snapshot.processor_digest, self.dataset.digest, self.method_fingerprint]
        return digest_of([*identity, self.config.attribution.shard_rows])[:16]

    @property
    def fingerprint(self) -> str:
        """Identity of the whole explanation: the above, all settings, and what it was compared with."""
        compared = None if self.reference is None else self.reference.identity.model_dump(mode="json")
        chosen = None if self.fusion_choice is None else ("frozen" if self.fusion_choice.frozen_by else "chosen")
        unsure = self.without_reference is not None and self.without_reference.verdict is CheckVerdict.INCONCLUSIVE
        return digest_of([self.attribution_key, self.config.results_dump(), compared, unsure, chosen])[:32]

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
        return self.output / self.snapshot.name.replace("/", "--") / self.snapshot.version / self.fingerprint[:12]

    def shard_path(self, index: int) -> Path:
        """Where a shard's table goes."""
        return self.workspace / "attributions" / self.attribution_key / f"shard-{index:05d}.parquet"
