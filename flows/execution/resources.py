"""GPU slots, by one of Prefect's concurrency limits, and the share of cores that each worker gets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from prefect.concurrency.sync import concurrency

from components import attribution
from components.common.errors import CouldNotRunError
from flows.common.process import QUIET_MARK, quieten
from flows.common.stopping import ignore_interrupts
from schemas.config import AttributionConfig, ExecutionConfig

#: Name of the limit.
GPU_LIMIT = "gpu"


@contextmanager
def gpu_slot(settings: AttributionConfig) -> Iterator[None]:
    """Hold a slot of the `gpu` concurrency limit while a GPU is used; strict: an undefined limit is an error, not no limit."""
    if not attribution.uses_gpu(settings):
        yield
        return
    try:
        slot = concurrency(GPU_LIMIT, occupy=1, strict=True)
        slot.__enter__()
    except Exception as error:
        raise CouldNotRunError(
            f"no GPU slot: Prefect's concurrency limit {GPU_LIMIT!r} is not defined or cannot be reached",
            got=error,
            next_step=f"prefect gcl create {GPU_LIMIT} --limit <number of GPUs>",
        ) from error
    try:
        yield
    finally:
        slot.__exit__(None, None, None)


#: Set for the time in which an engine runs: the process that the workers belong to, which is none of them.
OWNER = "CALIG_ENGINE_OWNER"


@lru_cache(maxsize=1)
def prepare_worker(execution: ExecutionConfig) -> None:
    """Set a worker process up once: signals, logs, threads; nothing in the process that owns the engine."""
    if execution.engine == "threads" or os.environ.get(OWNER) == str(os.getpid()):
        return
    ignore_interrupts()
    if QUIET_MARK in os.environ:
        quieten()
    if execution.address is None:
        attribution.use_threads(threads_per_worker(execution))


def threads_per_worker(execution: ExecutionConfig) -> int:
    """This machine's cores shared out among the workers; fewer where OMP_NUM_THREADS says so."""
    share = max(1, (os.cpu_count() or 1) // execution.workers)
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(asked)) if asked.isdigit() and int(asked) > 0 else share
