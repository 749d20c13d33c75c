"""All shards of a release, from the cache where they are whole, computed where they are not."""

from __future__ import annotations

from prefect import unmapped

from components import attribution
from flows import progress, tasks
from flows.release import Release
from schemas.attribution import ShardResult


def attribute(release: Release, force: bool) -> list[ShardResult]:
    """All shards, from the cache unless `force`; one whose file was lost or damaged since is computed again."""
    progress.begin("attributing", release.dataset.n_rows)
    futures = tasks.explain_shard.with_options(refresh_cache=force).map(unmapped(release), list(range(release.n_shards)))
    shards = futures.result()
    return [
        s if attribution.intact(s) else tasks.explain_shard.with_options(refresh_cache=True)(release, s.index) for s in shards
    ]
