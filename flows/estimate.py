"""Estimate of time and memory for attributing a data set on this machine, with the job variables for a work pool."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import Field

from components import attribution, datasets, registry
from flows.execution.resources import gpu_slot
from schemas.base import Record
from schemas.config import ExecutionConfig, PipelineConfig

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
