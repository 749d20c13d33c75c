"""Shards on the configured engine: threads, processes, Ray or Dask. Shards of a worker that died are started again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from prefect import unmapped
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.annotations import NotSet

from components.common.errors import CouldNotRunError
from flows.common import progress
from flows.execution import resources, result_storage, runners
from flows.pipeline import tasks
from schemas.attribution import ShardResult
from schemas.config import ExecutionConfig
from schemas.planned_release import Release

#: What engines raise when a worker process is gone: killed, out of memory, its machine lost. By name: Ray and Dask are extras.
_LOST = {
    *("BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"),
    *("LocalRayletDiedError", "ObjectLostError", "OwnerDiedError", "ActorDiedError"),
}

#: Ray reports its usage to its makers, and warns of a change to come, unless it is told otherwise.
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def compute_shards(release: Release, indices: Sequence[int], force: bool) -> list[ShardResult]:
    """The shards `indices`, from the cache unless `force`; after a worker died, what is left on new ones.

    Raises:
        CouldNotRunError: workers died again and again.
    """
    execution = release.config.execution
    runners.require_engine(execution)
    done: dict[int, ShardResult] = {}
    for _ in range(1 + execution.lost_workers):
        left = [index for index in indices if index not in done]
        try:
            _compute(release, left, force, done)
        except Exception as error:
            if not _is_loss(error):
                raise
            lost = error
        else:
            return [done[index] for index in indices]
    raise CouldNotRunError(
        f"worker processes died {1 + execution.lost_workers} times while attributing: out of memory, or killed",
        got=f"{type(lost).__name__}: {lost}",
        next_step="finished shards are kept; start again with fewer execution.workers or a smaller attribution.batch_tokens",
    ) from lost


def _compute(release: Release, indices: Sequence[int], force: bool, done: dict[int, ShardResult]) -> None:
    """Fill `done`; the first error is raised when all have ended, so that what can be finished is."""
    execution, advance = release.config.execution, progress.advance_current()
    task: Any = tasks.explain_shard.with_options(
        refresh_cache=force, result_storage=result_storage.storage_in(execution.store) or NotSet
    )
    errors: list[Exception] = []
    with _surroundings(execution), runners.runner_of(execution) as runner, runners.ray_resources(execution):
        futures = runner.map(task, {"release": unmapped(release), "index": list(indices)})
        for index, future in zip(indices, futures, strict=True):
            try:
                done[index] = future.result()
            except Exception as error:
                errors.append(error)
            else:
                if execution.engine != "threads":  # threads tell the progress row by row
                    advance(done[index].n_rows)
    if errors:
        raise next((error for error in errors if not _is_loss(error)), errors[0])


def _is_loss(error: Exception) -> bool:
    """Whether a worker process is gone; the error of that name in torch is about a GPU's memory, and the process lives on."""
    return type(error).__name__ in _LOST and not type(error).__module__.startswith("torch")


@contextmanager
def _surroundings(execution: ExecutionConfig) -> Iterator[None]:
    """What worker processes inherit: their share of the cores, and the Prefect server of this process, not one each."""
    if execution.engine == "threads":
        yield
        return
    threads = str(resources.threads_per_worker(execution))
    names = {"OMP_NUM_THREADS": threads, resources.OWNER: str(os.getpid())} | _RAY
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        with temporary_settings({PREFECT_API_URL: PREFECT_API_URL.value() or _own_server()}):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _own_server() -> str:
    with get_client(sync_client=True) as client:
        return str(client.api_url)
