"""Flow of the GPU pool's deployment: computes some shards of a release into the store. See deploy/prefect.yaml."""

from __future__ import annotations

from prefect import flow

from flows.pipeline.attribute import explain_shards
from schemas.planned_release import Release


@flow(name="attribute-shards", validate_parameters=True)
def attribute_shards(release: Release, indices: list[int], force: bool = False) -> list[int]:
    """Compute the shards `indices` of `release` into its store; those that are finished are not computed again.

    `explain-release` starts this when `execution.attribution_deployment` names it. Needs the store and Prefect, not MLflow.
    """
    return [shard.index for shard in explain_shards(release, indices, force)]
