"""Shards on the configured engine: threads, processes, Ray or Dask. Shards of a worker that died are started again."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from prefect import unmapped
from prefect.client.orchestration import get_client
from prefect.filesystems import RemoteFileSystem
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import NotSet

from components.common.errors import CouldNotRunError, InputError
from flows.common import progress
from flows.execution import resources
from schemas.base import digest_of
from schemas.config import ExecutionConfig
from schemas.planned_release import Release


def storage_in(store: str | None) -> str | Path | None:
    """A Prefect result storage inside `store`; None: Prefect's own.

    For a file system that is not local this is a block named after the store, registered with the Prefect server. It holds the
    address alone: credentials come from the environment of each process.

    Raises:
        CouldNotRunError: the block cannot be registered.
    """
    if store is None:
        return None
    parts = urlsplit(store)
    if parts.scheme in {"file", "local"}:
        return Path(url2pathname(parts.path)) / "prefect"
    return _block(f"{store.rstrip('/')}/prefect", os.getpid())


@lru_cache(maxsize=4)
def _block(address: str, _process: int) -> str:
    name = f"calig-{digest_of(address)[:16]}"
    try:
        RemoteFileSystem(basepath=address).save(name, overwrite=True)
    except Exception as error:
        raise CouldNotRunError(
            f"the store could not be made known to Prefect: {type(error).__name__}: {error}",
            got=address,
            next_step="check the address, and that the Prefect server answers",
        ) from error
    return f"remote-file-system/{name}"


def require_engine(execution: ExecutionConfig) -> None:
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
    from prefect_ray.task_runners import RayTaskRunner

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if execution.address is None:
        options |= {"num_cpus": execution.workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    runner: TaskRunner[Any] = RayTaskRunner(address=execution.address, init_kwargs=options)
    return runner


def _dask(execution: ExecutionConfig) -> TaskRunner[Any]:
    from prefect_dask.task_runners import DaskTaskRunner

    cluster = {
        "n_workers": execution.workers,
        "threads_per_worker": 1,
        "memory_limit": 0,  # the operating system's own limit: Dask would kill a worker over a guess
        "dashboard_address": None,
        "host": "127.0.0.1",
        "silence_logs": logging.CRITICAL,
    }
    where: dict[str, Any] = {"cluster_kwargs": cluster} if execution.address is None else {"address": execution.address}
    runner: TaskRunner[Any] = DaskTaskRunner(**where)
    return runner


def ray_resources(execution: ExecutionConfig) -> Any:
    """What Ray reserves for each shard."""
    if execution.gpus_per_shard is None:
        return nullcontext()
    from prefect_ray.context import remote_options

    return remote_options(num_gpus=execution.gpus_per_shard)


#: What engines raise when a worker process is gone: killed, out of memory, its machine lost. By name: Ray and Dask are extras.
_LOST = {
    *("BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"),
    *("LocalRayletDiedError", "ObjectLostError", "OwnerDiedError", "ActorDiedError"),
    "BrokenPipeError",  # a worker that was gone before it had read what to do
}

#: A process pool that breaks while it starts another worker has closed the pipe that the new one should inherit: multiprocessing
#: says so with an OSError that has no number.
_CLOSED_WHILE_STARTING = "handle is closed"

#: Ray reports its usage to its makers, and warns of a change to come, unless it is told otherwise.
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def compute_shards(task: Any, release: Release, given: Mapping[int, Mapping[str, Any]], force: bool) -> list[Any]:
    """What `task` makes of shards, from the cache unless `force`; after a worker died, what is left on new ones.

    Args:
        task: a Prefect task of a release, the index of a shard, and what is `given` for it; its result knows its `n_rows`.
        release: without what only the process that plans needs.
        given: by index what the task gets beside these two.
        force: compute them although they are cached.

    Raises:
        CouldNotRunError: workers died again and again.
    """
    execution = release.config.execution
    require_engine(execution)
    done: dict[int, Any] = {}
    for _ in range(1 + execution.lost_workers):
        left = {index: of_shard for index, of_shard in given.items() if index not in done}
        try:
            _compute(task, release, left, force, done)
        except Exception as error:
            if not is_loss(error):
                raise
            lost = error
        else:
            return [done[index] for index in given]
    raise CouldNotRunError(
        f"worker processes died {1 + execution.lost_workers} times in task {task.name!r}: out of memory, or killed",
        got=f"{type(lost).__name__}: {lost}",
        next_step="finished shards are kept; start again with fewer execution.workers or a smaller attribution.batch_tokens",
    ) from lost


def _compute(task: Any, release: Release, given: Mapping[int, Mapping[str, Any]], force: bool, done: dict[int, Any]) -> None:
    """Fill `done`; the first error is raised when all have ended, so that what can be finished is."""
    execution, advance = release.config.execution, progress.advance_current()
    stored = task.with_options(refresh_cache=force, result_storage=storage_in(execution.store) or NotSet)
    of_shards = {name: [of_shard[name] for of_shard in given.values()] for name in next(iter(given.values()), {})}
    errors: list[Exception] = []
    with _surroundings(execution), runner_of(execution) as runner, ray_resources(execution):
        futures = runner.map(stored, {"release": unmapped(release), "index": list(given), **of_shards})
        for index, future in zip(given, futures, strict=True):
            try:
                done[index] = future.result()
            except Exception as error:
                errors.append(error)
            else:
                if execution.engine != "threads":  # threads tell the progress row by row
                    advance(done[index].n_rows)
    if errors:
        raise next((error for error in errors if not is_loss(error)), errors[0])


def is_loss(error: Exception) -> bool:
    """Whether a worker process is gone; the error of that name in torch is about a GPU's memory, and the process lives on."""
    if isinstance(error, OSError) and str(error) == _CLOSED_WHILE_STARTING:
        return True
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
