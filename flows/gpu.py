"""GPUs are handed out by one of Prefect's concurrency limits: who computes on one holds a slot of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.concurrency.sync import concurrency

from components import attribution
from components.errors import CouldNotRunError
from schemas.config import AttributionConfig

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
