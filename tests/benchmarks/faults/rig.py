"""What faults are injected into: a cluster whose triggers and runs go on by themselves, and how it is seen to settle."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.benchmarks.faults.evidence import is_settled
from tests.benchmarks.faults.shards import Shards
from tests.benchmarks.faults.small_disks import SmallDisk, small_disk
from tests.benchmarks.faults.versions import SHARD_ROWS, Registering, Version
from tests.e2e.cluster import Cluster, running_cluster
from tests.e2e.cluster.children import flow_processes, kill_flow_processes
from tests.e2e.cluster.process import Server
from tests.e2e.cluster.servers import REPOSITORY, warm_socket

MODEL = "faulty"
#: Prefect's workers cannot beat more often than every 30 s; a run silent for two beats is dead.
_BEAT_S, _STALE_S = 30, 65.0
#: A task of these small runs takes seconds; one that takes so long waits for a thread that could not be started.
_STUCK_S = 120.0
_LOOK_S = 0.25
_HANGS_S = 20.0
#: What is faulty here is the surroundings: little is measured, so that runs are short.
_QUALITY = {"falsification_rows": 2, "sensitivity_draws": 1, "infidelity_draws": 4, "random_draws": 1, "bootstrap_draws": 100}


@dataclass
class Rig:
    """The cluster, a way to register versions, and an eye on the shards."""

    cluster: Cluster
    client: Any
    registering: Registering
    shards: Shards
    watch: Path
    disk: SmallDisk | None
    artifacts: SmallDisk | None
    hung: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - moments, not secrets

    def living(self) -> dict[str, list[psutil.Process]]:
        """Flow runs whose forked process lives, with that process last."""
        found = flow_processes(self.cluster.environment["PREFECT_HOME"], warm_socket(self.cluster.folder))
        return {run: processes for run, processes in found.items() if len(processes) > 1}

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Look at the shards for `seconds`, or until `until`; whether it came true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.shards.look()
            if until():
                return True
            time.sleep(min(_LOOK_S, max(0.0, deadline - time.monotonic())))
        return False

    def unsettled(self, versions: list[Version]) -> list[Version]:
        """Those the trigger has not finished with; all of them while the registry does not answer."""
        with suppress(Exception):
            return [version for version in versions if not is_settled(self.client, version)]
        return versions

    def settle(self, versions: list[Version], limit_s: float) -> bool:
        """Wait until all are settled and no run is left; whether that happened in time.

        A process that hangs (out of memory, say) outlives its run, which the trigger has given up and started anew: after a
        while it is ended here, as an operator would.
        """
        settled = self.wait(limit_s, lambda: not self.unsettled(versions))
        if settled and not self.wait(_HANGS_S, lambda: not self.living()):
            self.hung += kill_flow_processes(self.cluster.environment["PREFECT_HOME"], warm_socket(self.cluster.folder))
        return settled


@contextmanager
def running_rig(folder: Path) -> Iterator[Rig]:
    """A warm cluster with the reconciler passing every second or two, watching one model."""
    with small_disk(folder / "disk", megabytes=512) as disk, small_disk(folder / "artifacts", megabytes=1024) as artifacts:
        results = folder / "disk" / "prefect-results"
        more = {"PREFECT_LOCAL_STORAGE_PATH": str(results), "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(_BEAT_S)}
        with running_cluster(folder, warm=True, **more) as cluster:
            from mlflow import MlflowClient

            client = MlflowClient(cluster.mlflow_url)
            registering = Registering(client, MODEL, folder / "versions")
            watch = _watch_file(folder, folder / "disk" / "runs")
            cluster.listen(watch)
            reconciling = _reconciling(cluster, watch)
            try:
                reconciling.start()
                yield Rig(cluster, client, registering, Shards(folder / "disk" / "runs", results), watch, disk, artifacts)
            finally:
                reconciling.stop()


def _watch_file(folder: Path, output: Path) -> Path:
    """Patient: dozens of faults hit a version's runs, and none of them is the version's own."""
    config, path = folder / "config.yaml", folder / "watch.yaml"
    config.write_text(yaml.safe_dump({"attribution": {"shard_rows": SHARD_ROWS}, "quality": _QUALITY}), encoding="utf-8")
    content = {
        "models": [{"name": MODEL}],
        "defaults": {"config": str(config), "output": str(output)},
        "tags": ["dataset"],
        "data_roots": [str(folder)],
        "max_attempts": 50,
        "backoff_s": 0,
        "stale_after_s": _STALE_S,
        "stuck_after_s": _STUCK_S,
        "listener": {"replay_store": str(folder / "listener.sqlite")},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _reconciling(cluster: Cluster, watch: Path) -> Server:
    return Server(
        name="reconciler",
        command=[sys.executable, "-m", "tests.benchmarks.faults.reconciling", watch],
        log=cluster.folder / "reconciler.log",
        environment=cluster.environment,
        is_well=lambda server: server.said("pass"),
        cwd=REPOSITORY,
    )
