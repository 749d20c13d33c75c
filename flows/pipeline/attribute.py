"""All shards of a release, from the cache where they are whole, computed where they are not."""

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
    damaged = [index for index, shard in shards.items() if not exchange.bring(alone, shard)]
    if damaged:
        again = {shard.index: shard for shard in _computed(alone, damaged, force=True)}
        _check([shard for shard in again.values() if not exchange.bring(alone, shard)])
        shards |= again
    return [shards[index] for index in indices]


def _check(lost: list[ShardResult]) -> None:
    if lost:
        raise CouldNotRunError(
            "a table that was just written is not there, or not what was written", got=lost[0].path, next_step="check the disk"
        )


def _computed(release: Release, indices: list[int], force: bool) -> list[ShardResult]:
    exchange.hand_out(release, indices)
    if release.config.execution.attribution_deployment is None:
        shards = engines.compute(release, indices, force)
    else:
        deployment.hand_over(release, indices, force)
        shards = engines.compute(deployment.here(release), indices, force=False)  # all from the store
    return [exchange.placed(release, shard) for shard in shards]
