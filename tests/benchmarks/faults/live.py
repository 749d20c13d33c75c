"""Faults that hit runs and servers while they work. Each returns whether it hit something; what it broke it also mends."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from resource import RLIMIT_AS
from typing import Any

import psutil

from tests.benchmarks.faults.rig import MODEL, Rig
from tests.e2e.cluster.children import kill_flow_processes
from tests.e2e.cluster.servers import warm_socket

#: How long a fault may wait for its moment.
_MOMENT_S = 20.0


def kill_flow(rig: Rig) -> bool:
    """kill −9 of one flow run's process."""
    victim = _any_run(rig)
    if victim is None:
        return False
    with suppress(psutil.NoSuchProcess):
        victim.kill()
        victim.wait(10)
        return True
    return False


def kill_worker(rig: Rig) -> bool:
    """kill −9 of the worker and all its runs, as when the machine is lost; nobody is left to report it."""
    if not rig.living():
        return False
    rig.cluster.worker.kill()
    for _ in range(2):  # a process may have been about to be forked
        kill_flow_processes(rig.cluster.environment["PREFECT_HOME"], warm_socket(rig.cluster.folder))
        rig.wait(rig.rng.uniform(0.3, 1.3))
    rig.cluster.worker.start()
    return True


def kill_prefect(rig: Rig) -> bool:
    """kill −9 of the Prefect server; back after a few seconds."""
    if not rig.living():
        return False
    rig.cluster.prefect.kill()
    rig.wait(rig.rng.uniform(0, 3))
    rig.cluster.prefect.start()
    return True


def kill_mlflow_publishing(rig: Rig) -> bool:
    """kill −9 of MLflow at a random moment of a publication that has begun and not ended."""
    if not rig.wait(_MOMENT_S, lambda: bool(publishing(rig))):
        return False
    rig.wait(rig.rng.uniform(0, 0.7))
    rig.cluster.mlflow.kill()
    rig.wait(rig.rng.uniform(0, 2))
    rig.cluster.mlflow.start()
    return True


def restart_postgres_fast(rig: Rig) -> bool:
    """PostgreSQL ends all sessions, shuts down in order, and starts again."""
    if not rig.living():
        return False
    rig.cluster.postgres.restart("fast")
    return True


def restart_postgres_immediate(rig: Rig) -> bool:
    """PostgreSQL stops as in a crash, and recovers from its log at the start."""
    if not rig.living():
        return False
    rig.cluster.postgres.restart("immediate")
    return True


def refuse_artifacts(rig: Rig) -> bool:
    """The artifact store's disk is read-only until a write was refused; counted only then."""
    if rig.artifacts is None or not rig.wait(_MOMENT_S, lambda: bool(publishing(rig))) or not rig.artifacts.refuse_writes():
        return False
    before = _refusals(rig)
    try:
        return rig.wait(_MOMENT_S, lambda: _refusals(rig) > before)
    finally:
        rig.artifacts.accept_writes()


def fill_disk(rig: Rig) -> bool:
    """The disk for results and caches is full for a few seconds while runs write to it."""
    if rig.disk is None or not rig.living():
        return False
    rig.disk.fill()
    try:
        rig.wait(rig.rng.uniform(1, 4))
    finally:
        rig.disk.free()
    return True


def truncate_shard(rig: Rig) -> bool:
    """A run dies, and the shard that it finished last is cut in half before it is resumed."""
    if not rig.wait(_MOMENT_S, lambda: _attributing(rig)):
        return False
    before = rig.living()
    return bool(before) and kill_flow(rig) and rig.shards.truncate_newest()


def limit_memory(rig: Rig) -> bool:
    """A run gets no more memory than it has at this moment, and a little."""
    victim = _any_run(rig)
    if victim is None:
        return False
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # one that is just ending refuses
        limit = victim.memory_info().vms + rig.rng.randrange(0, 16 << 20)
        victim.rlimit(RLIMIT_AS, (limit, limit))
        return True
    return False


LIVE: dict[str, Callable[[Rig], bool]] = {
    "flow killed": kill_flow,
    "worker killed": kill_worker,
    "Prefect server killed": kill_prefect,
    "MLflow killed while publishing": kill_mlflow_publishing,
    "PostgreSQL restarted, fast": restart_postgres_fast,
    "PostgreSQL restarted, immediate": restart_postgres_immediate,
    "artifact store refuses writes": refuse_artifacts,
    "disk full": fill_disk,
    "shard truncated": truncate_shard,
    "out of memory": limit_memory,
}


def publishing(rig: Rig) -> list[Any]:
    """Runs of explanations that were begun and not marked published."""
    with suppress(Exception):
        experiment = rig.client.get_experiment_by_name(f"calig/{MODEL}")
        if experiment is not None:
            return list(rig.client.search_runs([experiment.experiment_id], filter_string="attributes.status = 'RUNNING'"))
    return []


def _any_run(rig: Rig) -> psutil.Process | None:
    """The working process of a run drawn at random."""
    living = rig.living()
    return living[rig.rng.choice(sorted(living))][-1] if living else None


def _attributing(rig: Rig) -> bool:
    """Whether a shard was finished within the last second, so that a run is among its shards now."""
    newest = rig.shards.newest_time
    return newest is not None and time.time() - newest < 1.0


def _refusals(rig: Rig) -> int:
    return rig.cluster.mlflow.log.read_bytes().count(b"Read-only file system")
