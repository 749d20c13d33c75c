"""Redaction of a run's texts, once, between computing and everything that compares, records, shows and publishes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from components import privacy
from flows.pipeline.dataset import examples_of
from schemas.config import PipelineConfig
from schemas.planned_release import Release
from schemas.reference import NullProfiles, ReferenceProfile
from schemas.release import ModelSnapshot
from schemas.shards import ShardResult


def name_key(config: PipelineConfig, snapshot: ModelSnapshot) -> PipelineConfig:
    """Name the key in use in the settings; refused before any work when there is none."""
    return config.model_copy(update={"privacy": privacy.settled(config.privacy, snapshot.modality)})


@contextmanager
def open_cover(release: Release) -> Iterator[privacy.Cover]:
    """Open the redaction of a release's texts; the tables that it writes are deleted afterwards."""
    release.workspace.mkdir(parents=True, exist_ok=True)
    key = privacy.key_of(release.config.privacy)
    with tempfile.TemporaryDirectory(prefix="covered-", dir=release.workspace) as folder:
        yield privacy.Cover(release.config.privacy, examples_of(release), Path(folder), key)


def rename_references(release: Release, cover: privacy.Cover) -> Release:
    """Rename the words of all that `release` is compared with as in its own tables; versions that cannot be are skipped."""
    reference = None if release.reference is None else _named(release.reference, cover)
    return release.model_copy(update={"reference": reference, "nulls": tuple(_nulls(null, cover) for null in release.nulls)})


def redact_reference(release: Release, cover: privacy.Cover) -> list[Path] | None:
    """The reference's tables as the report may show them; none when they cannot be redacted alike."""
    reference = release.reference
    if reference is None or obstacle(reference, release) is not None:
        return None
    return cover.shown(reference.tables, reference.privacy)


def redact_shards(shards: Sequence[ShardResult], cover: privacy.Cover) -> list[ShardResult]:
    """The shards with their tables as they may be written down."""
    paths = cover.shown([shard.path for shard in shards])
    return [shard.model_copy(update={"path": path}) for shard, path in zip(shards, paths, strict=True)]


def obstacle(profile: ReferenceProfile, release: Release) -> str | None:
    """Why the texts of an earlier explanation of the same rows prevent a comparison; None: they do not."""
    return privacy.hindrance(profile.privacy, release.config.privacy)


def _named(profile: ReferenceProfile, cover: privacy.Cover) -> ReferenceProfile:
    if privacy.hindrance(profile.privacy, cover.config) is not None:
        return profile  # the comparison refuses it
    return profile.model_copy(update={"tables": tuple(cover.named(profile.tables, profile.privacy))})


def _nulls(null: NullProfiles, cover: privacy.Cover) -> NullProfiles:
    hindrances = [privacy.hindrance(profile.privacy, cover.config) for profile in null.profiles]
    pairs = list(zip(null.profiles, hindrances, strict=True))
    skipped = [f"version {profile.identity.version}: {why}" for profile, why in pairs if why is not None]
    usable = tuple(_named(profile, cover) for profile, why in pairs if why is None)
    return null.model_copy(update={"profiles": usable, "skipped": (*null.skipped, *skipped)})
