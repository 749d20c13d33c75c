"""Attribution of all shards of a release: whole ones come from the cache, the others are computed.

They are computed here, or in runs of another deployment, such as one on a GPU pool: each run is started once, and all are
waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from components.common.errors import CouldNotRunError
from flows.common import progress
from flows.execution import engines, exchange
from flows.pipeline import tasks
from schemas.planned_release import Release
from schemas.shards import ShardResult

#: Runs of one part that may fail before the whole fails; runs that failed in earlier attempts at the release do not count.
_ATTEMPTS = 3

_POLL_S = 2.0


def attribute(release: Release, force: bool) -> list[ShardResult]:
    """All shards, from the cache unless `force`; one whose file was lost or damaged since is computed again."""
    progress.begin("attributing", release.dataset.n_rows)
    alone = release.alone()
    return exchange.whole_shards(partial(_computed, alone), alone, list(range(release.n_shards)), force)


def run_shards(release: Release, indices: Sequence[int], force: bool) -> None:
    """Run the shards in the deployment, and wait until all its runs have completed.

    A run is known by the attributions and shards that it is for: asked again, while it runs or after this process died, it is
    found and not started twice. One that failed is followed by another.

    Raises:
        CouldNotRunError: no such deployment, a part that failed three times, or nobody finished them in time.
    """
    execution = release.config.execution
    advance, deadline = progress.advance_current(), time.monotonic() + 3600 * execution.deployment_hours
    waiting = list(_parts(release, indices, force))
    for part in waiting:
        _start(part, release, force)
    while waiting:
        for part in [part for part in waiting if _completed(part, release, force)]:
            waiting.remove(part)
            advance(sum(_n_rows(release, index) for index in part.indices))
        if waiting and time.monotonic() > deadline:
            raise CouldNotRunError(
                f"{len(waiting)} runs of {execution.attribution_deployment} did not finish in {execution.deployment_hours:g} h",
                next_step="is a worker on its pool? What they finish is kept: start again, or raise execution.deployment_hours",
            )
        if waiting:
            time.sleep(_POLL_S)


def without_deployment(release: Release) -> Release:
    """Let the release compute its shards where it runs: what the deployment is given."""
    execution = release.config.execution.model_copy(update={"attribution_deployment": None})
    return release.model_copy(update={"config": release.config.model_copy(update={"execution": execution})})


def _computed(release: Release, indices: list[int], force: bool) -> list[ShardResult]:
    exchange.upload_inputs(release, indices)
    if release.config.execution.attribution_deployment is None:
        shards = explain_shards(release, indices, force)
    else:
        run_shards(release, indices, force)
        shards = explain_shards(without_deployment(release), indices, force=False)  # all from the store
    return [exchange.locate_table(release, shard, release.shard_name(shard.index)) for shard in shards]


def explain_shards(release: Release, indices: Sequence[int], force: bool) -> list[ShardResult]:
    """The shards on the engine of the settings, from the cache unless `force`; rows and model are there already."""
    return engines.compute_shards(tasks.explain_shard, release, {index: {} for index in indices}, force)


@dataclass
class _Part:
    """Some shards, and the run that computes them."""

    key: str
    indices: list[int]
    failed: int = 0
    run: FlowRun | None = None
    attempt: int = -1


def _parts(release: Release, indices: Sequence[int], force: bool) -> Iterator[_Part]:
    size = release.config.execution.shards_per_run
    again = f"-again-{flow_run.id}-{len(indices)}" if force else ""
    for i in range(0, len(indices), size):
        some = list(indices[i : i + size])
        yield _Part(f"calig-{release.attribution_key}-{some[0]}-{some[-1]}-{len(some)}{again}", some)


def _start(part: _Part, release: Release, force: bool) -> None:
    """Start the part's next run, or find the one that was started for it before and has not failed."""
    while True:
        part.attempt += 1
        part.run = _run(part, release, force)
        if not _has_failed(part.run):
            return


def _run(part: _Part, release: Release, force: bool) -> FlowRun:
    name = str(release.config.execution.attribution_deployment)
    try:
        run = run_deployment(
            name,
            parameters={"release": without_deployment(release).model_dump(mode="json"), "indices": part.indices, "force": force},
            idempotency_key=f"{part.key}-{part.attempt}",
            timeout=0,
        )
        return cast("FlowRun", run)  # its type also allows for callers that are asynchronous
    except ObjectNotFound as error:
        raise CouldNotRunError(
            "setting 'execution.attribution_deployment' names no deployment of this Prefect server",
            got=name,
            next_step="prefect --no-prompt deploy --prefect-file deploy/prefect.yaml --all",
        ) from error


def _completed(part: _Part, release: Release, force: bool) -> bool:
    """Whether the part's run has completed; when it failed the next one is started, a few times."""
    assert part.run is not None  # noqa: S101 - `_start` came first
    with get_client(sync_client=True) as client:
        part.run = client.read_flow_run(part.run.id)
    if _has_failed(part.run):
        part.failed += 1
        if part.failed >= _ATTEMPTS:
            state = part.run.state
            raise CouldNotRunError(
                f"shards {part.indices[0]} to {part.indices[-1]} failed {_ATTEMPTS} times in {part.run.name}",
                got=None if state is None else state.message,
                next_step=f"prefect flow-run logs {part.run.id}",
            )
        _start(part, release, force)
        return False
    return part.run.state is not None and part.run.state.is_completed()


def _has_failed(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_final() and not run.state.is_completed()


def _n_rows(release: Release, index: int) -> int:
    n = release.config.attribution.shard_rows
    return min(n, release.dataset.n_rows - index * n)
