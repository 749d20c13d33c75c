"""Settings of execution: where shards are computed and stored meanwhile. They change no value and are part of no fingerprint."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from schemas.base import Record

Engine = Literal["threads", "processes", "ray", "dask"]
DeploymentName = Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]


class ExecutionConfig(Record):
    """Where shards are computed, and where their tables are kept meanwhile. Part of no fingerprint: it changes no value."""

    engine: Engine = Field(
        default="threads",
        description="what computes the shards: threads of this process, processes of this machine, or a ray or dask cluster "
        "(extras ray, dask)",
    )
    workers: int = Field(default=2, ge=1, description="shards computed at a time; an existing cluster decides for itself")
    address: str | None = Field(
        default=None, description="an existing cluster: ray://HOST:10001, auto, or tcp://HOST:8786; empty: one for this run"
    )
    gpus_per_shard: float | None = Field(
        default=None, gt=0.0, description="GPUs that Ray reserves for a shard, also a fraction such as 0.5; empty: none"
    )
    lost_workers: int = Field(
        default=2, ge=0, description="times that what is left is started again after a worker process died, before giving up"
    )
    store: str | None = Field(
        default=None,
        description="where workers on other machines find rows and model and leave tables: s3://…, gs://…, file://… (any "
        "fsspec file system; credentials by its own environment variables); empty: the output folder",
    )
    attribution_deployment: DeploymentName | None = Field(
        default=None,
        description="Prefect deployment that computes the shards, e.g. attribute-shards/attribute-shards on a GPU pool; "
        "needs `store`; empty: this run does",
    )
    shards_per_run: int = Field(default=16, ge=1, description="shards in one run of that deployment")
    deployment_hours: float = Field(default=24.0, gt=0.0, description="hours to wait for that deployment's runs before giving up")
    hours: float | None = Field(
        default=None, gt=0.0, description="a run that takes longer ends with an error, its finished shards kept; empty: no limit"
    )
    memory_gigabytes: float | None = Field(
        default=None,
        gt=0.0,
        description="a run that holds more memory, its worker processes here included, ends in the same way; empty: no limit",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.address is not None and self.engine not in {"ray", "dask"}:
            raise ValueError(f"engine {self.engine!r} has no address; allowed with ray, dask")
        if self.gpus_per_shard is not None and self.engine != "ray":
            raise ValueError(f"engine {self.engine!r} hands out no GPUs by the shard; gpus_per_shard is allowed with ray")
        if self.attribution_deployment is not None and self.store is None:
            raise ValueError("attribution_deployment needs a store that both sides reach, e.g. s3://bucket/calig")
        if self.store is not None:
            self._check_store(self.store)
        return self

    def _check_store(self, store: str) -> None:
        parts = urlsplit(store)
        if not parts.scheme:
            raise ValueError("store is an address: s3://bucket/folder, gs://bucket/folder, file:///folder")
        if parts.username or parts.password:
            raise ValueError("store holds a name or password: settings are published, so leave them to the environment")
        if parts.scheme == "memory" and (self.engine != "threads" or self.attribution_deployment is not None):
            raise ValueError("memory:// is seen by one process alone: engine threads, without attribution_deployment")
