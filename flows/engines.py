"""Shards on the engine that the settings name: threads, processes, Ray or Dask. What a dead worker left is started again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

from prefect import unmapped
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from components.errors import CouldNotRunError, InputError
from flows import progress, storage, tasks, workers
from flows.release import Release
from schemas.attribution import ShardResult
from schemas.config import ExecutionConfig

#: What engines raise when a worker process is gone: killed, out of memory, its machine lost. By name: Ray and Dask are extras.
_LOST = {
    *("BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"),
    *("LocalRayletDiedError", "ObjectLostError", "OwnerDiedError", "ActorDiedError"),
}


def check(execution: ExecutionConfig) -> None:
    """Refuse an engine whose extra is not installed, before any work."""
    packages = {"ray": "prefect_ray", "dask": "prefect_dask"}
    package = packages.get(execution.engine)
    if package is not None and find_spec(package) is None:
        raise InputError(
            f"engine {execution.engine!r} needs the package {package.replace('_', '-')}, which is not installed",
            got=f"execution.engine: {execution.engine}",
            allowed="threads, processes; ray and dask with their extras",
            next_step=f"pip install 'calig[{execution.engine}]'",
        )


def compute(release: Release, indices: Sequence[int], force: bool) -> list[ShardResult]:
    """The shards `indices`, from the cache unless `force`; after a worker died, what is left on new ones.

    Raises:
        CouldNotRunError: workers died again and again.
    """
    execution = release.config.execution
    check(execution)
    done: dict[int, ShardResult] = {}
    for _ in range(1 + execution.lost_workers):
        left = [index for index in indices if index not in done]
        try:
            _compute(release, left, force, done)
        except Exception as error:
            if type(error).__name__ not in _LOST:
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
    task = tasks.explain_shard.with_options(refresh_cache=force, result_storage=storage.of(execution.store))
    errors: list[Exception] = []
    with _surroundings(execution), runner_of(execution) as runner, reserved(execution):
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
        raise next((error for error in errors if type(error).__name__ not in _LOST), errors[0])


def runner_of(execution: ExecutionConfig) -> TaskRunner[Any]:
    """The engine as a Prefect task runner."""
    if execution.engine == "processes":
        return ProcessPoolTaskRunner(max_workers=execution.workers)
    if execution.engine == "ray":
        return _ray(execution)
    if execution.engine == "dask":
        return _dask(execution)
    return ThreadPoolTaskRunner(max_workers=execution.workers)


def _ray(execution: ExecutionConfig) -> TaskRunner[Any]:
    from prefect_ray import RayTaskRunner

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if execution.address is None:
        options |= {"num_cpus": execution.workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    return RayTaskRunner(address=execution.address, init_kwargs=options)


def _dask(execution: ExecutionConfig) -> TaskRunner[Any]:
    from prefect_dask import DaskTaskRunner

    if execution.address is not None:
        return DaskTaskRunner(address=execution.address)
    cluster = {
        "n_workers": execution.workers,
        "threads_per_worker": 1,
        "memory_limit": 0,  # the operating system's own limit: Dask would kill a worker over a guess
        "dashboard_address": None,
        "host": "127.0.0.1",
        "silence_logs": logging.CRITICAL,
    }
    return DaskTaskRunner(cluster_kwargs=cluster)


def reserved(execution: ExecutionConfig) -> Any:
    """What Ray reserves for each shard."""
    if execution.gpus_per_shard is None:
        return nullcontext()
    from prefect_ray.context import remote_options

    return remote_options(num_gpus=execution.gpus_per_shard)


@contextmanager
def _surroundings(execution: ExecutionConfig) -> Iterator[None]:
    """What worker processes inherit: their share of the cores, and the Prefect server of this process, not one each."""
    if execution.engine == "threads":
        yield
        return
    threads = str(workers.threads_per_worker(execution))
    names = {"OMP_NUM_THREADS": threads, workers.OWNER: str(os.getpid()), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
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
