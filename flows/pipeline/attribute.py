"""Attribution of all shards of a release: whole ones come from the cache, the others are computed."""

from __future__ import annotations

from components.common.errors import CouldNotRunError
from flows.common import progress
from flows.execution import deployment, engines, exchange
from schemas.attribution import ShardResult
from schemas.planned_release import Release


def attribute(release: Release, force: bool) -> list[ShardResult]:
    """All shards, from the cache unless `force`; one whose file was lost or damaged since is computed again."""
    progress.begin("attributing", release.dataset.n_rows)
    alone, indices = release.alone(), list(range(release.n_shards))
    shards = {shard.index: shard for shard in _computed(alone, indices, force)}
    damaged = [index for index, shard in shards.items() if not exchange.fetch_table(alone, shard)]
    if damaged:
        again = {shard.index: shard for shard in _computed(alone, damaged, force=True)}
        _check([shard for shard in again.values() if not exchange.fetch_table(alone, shard)])
        shards |= again
    return [shards[index] for index in indices]


def _check(lost: list[ShardResult]) -> None:
    if lost:
        raise CouldNotRunError(
            "a table that was just written is not there, or not what was written", got=lost[0].path, next_step="check the disk"
        )


def _computed(release: Release, indices: list[int], force: bool) -> list[ShardResult]:
    exchange.upload_inputs(release, indices)
    if release.config.execution.attribution_deployment is None:
        shards = engines.compute_shards(release, indices, force)
    else:
        deployment.run_shards(release, indices, force)
        shards = engines.compute_shards(deployment.without_deployment(release), indices, force=False)  # all from the store
    return [exchange.locate_table(release, shard) for shard in shards]
