"""Prefect task runners for the configured engine: threads, processes, Ray or Dask."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from components.common.errors import InputError
from schemas.config import ExecutionConfig


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
