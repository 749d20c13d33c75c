"""Resources of a run: GPU slots (one of Prefect's concurrency limits), cores per worker, and an estimate of time and memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from prefect.concurrency.sync import concurrency
from pydantic import Field

from components import attribution, datasets, registry
from components.common.errors import CouldNotRunError
from flows.common.process import QUIET_MARK, ignore_interrupts, quieten
from schemas.base import Record
from schemas.config import AttributionConfig, ExecutionConfig, PipelineConfig

#: Name of the limit.
GPU_LIMIT = "gpu"

#: Set for the time in which an engine runs: the process that the workers belong to, which is none of them.
OWNER = "CALIG_ENGINE_OWNER"

#: Above the measured peak: other kernels, longer rows than those passed.
_HEADROOM = 1.25

_MIB = 2**20
_STEP_MIB = 256


class Estimated(Record):
    """The estimate, and the job variables that follow from it."""

    rows: int
    shards: int
    device: str
    seconds: float = Field(description="attribution of all rows, one shard at a time")
    peak_bytes: int = Field(description="of the GPU if it is used, else of the process")
    resident_bytes: int = Field(description="of the process, with all libraries and the model loaded")
    job_variables: dict[str, str] = Field(description="what to ask a work pool for, in Kubernetes' notation")


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


def estimate_run(model: str, dataset: Path, config: PipelineConfig, limit: int | None, output: Path) -> Estimated:
    """Time and memory from passing a sample of the data set's rows through the model."""
    snapshot = registry.fetch(registry.parse_model_ref(model), workspace=output / ".cache")
    attribution.check_target(config.attribution.target, snapshot)
    pinned, examples = datasets.load(
        dataset,
        limit=limit,
        labels=snapshot.labels,
        modality=snapshot.modality,
        per_label=attribution.per_label(config.attribution, snapshot),
        label_kind=snapshot.label_kind,
    )
    settings = config.attribution.fused_by(config.attribution.default_fusion)
    with gpu_slot(settings):
        found = attribution.estimate(snapshot, examples, settings)
    on_gpu = attribution.uses_gpu(settings)
    return Estimated(
        rows=pinned.n_rows,
        shards=-(-pinned.n_rows // settings.shard_rows),
        device="cuda" if on_gpu else "cpu",
        seconds=round(found.seconds, 2),
        peak_bytes=found.peak_bytes,
        resident_bytes=found.resident_bytes,
        job_variables=job_variables(found.resident_bytes, config.execution, on_gpu=on_gpu),
    )


def job_variables(resident_bytes: int, execution: ExecutionConfig, *, on_gpu: bool) -> dict[str, str]:
    """Memory for the job's processes with headroom, in whole steps; one GPU (nvidia.com/gpu) where one is used."""
    processes = 1 if execution.engine == "threads" or execution.address is not None else 1 + execution.workers
    steps = math.ceil(_HEADROOM * processes * resident_bytes / (_STEP_MIB * _MIB))
    return {"memory": f"{steps * _STEP_MIB}Mi"} | ({"gpus": "1"} if on_gpu else {})


def describe_estimate(found: Estimated) -> str:
    """The estimate for people."""
    asked = ", ".join(f"{name}={value}" for name, value in found.job_variables.items())
    return (
        f"{found.rows} rows in {found.shards} shards on {found.device}: about {max(1, round(found.seconds))} s of attribution, "
        f"{found.peak_bytes / 2**30:.1f} GiB at the peak\njob variables: {asked}"
    )
