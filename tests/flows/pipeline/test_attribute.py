"""Shards handed to another deployment: each part is started once, a failed one is followed by another, a real worker finishes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed

from components import attribution
from components.common.errors import CouldNotRunError
from flows.attribute_shards import attribute_shards
from flows.explain_release import explain_release
from flows.pipeline import attribute
from flows.pipeline.resolve import resolve
from schemas.config import AttributionConfig, ExecutionConfig, PipelineConfig, ProbeConfig, QualityConfig
from schemas.planned_release import Release
from tests.flows.conftest import N_ROWS
from tests.helpers.tiny_models import save_tiny_bert

NAME = "attribute-shards/attribute-shards"


def config(store: Path, **execution) -> PipelineConfig:
    return PipelineConfig(
        attribution=AttributionConfig(shard_rows=10),
        quality=QualityConfig(falsification_rows=0, bootstrap_draws=100, random_draws=1),
        probe=ProbeConfig(enabled=False),
        execution=ExecutionConfig(store=f"file://{store}", attribution_deployment=NAME, **execution),
    )


@pytest.fixture
def release(tmp_path: Path, dataset: Path, _prefect: None) -> Release:
    settings = config(tmp_path / "store", shards_per_run=3, deployment_hours=1e-4)
    return resolve(str(save_tiny_bert(tmp_path / "model")), dataset, None, settings, None, tmp_path / "runs")


@pytest.fixture
def deployed(_prefect: None) -> None:
    """The deployment on the server, with nobody to work for it."""
    with get_client(sync_client=True) as client:
        client.create_deployment(flow_id=client.create_flow(attribute_shards), name="attribute-shards")


def end(run_id, state) -> None:
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, state, force=True)


@pytest.mark.usefixtures("deployed")
def test_a_part_is_started_once_and_again_only_after_it_failed(release):
    first, second = attribute._parts(release, range(4), False)
    assert (first.indices, second.indices) == ([0, 1, 2], [3])
    attribute._start(first, release, False)
    (again, _) = attribute._parts(release, range(4), False)
    attribute._start(again, release, False)
    assert again.run.id == first.run.id, "asked twice, started once"
    assert first.run.parameters["release"]["config"]["execution"]["attribution_deployment"] is None
    end(first.run.id, Failed(message="lost"))
    (later, _) = attribute._parts(release, range(4), False)
    attribute._start(later, release, False)
    assert later.run.id != first.run.id
    end(later.run.id, Completed())
    assert attribute._completed(later, release, False)


@pytest.mark.usefixtures("deployed")
def test_nobody_to_work_is_no_hang_and_failing_again_and_again_is_told(release, monkeypatch):
    monkeypatch.setattr(attribute, "_POLL_S", 0.05)
    with pytest.raises(CouldNotRunError, match=r"(?s)did not finish.*is a worker on its pool"):
        attribute.run_shards(release, range(4), False)
    (part, _) = attribute._parts(release, range(4), False)
    attribute._start(part, release, False)
    for _ in range(2):
        end(part.run.id, Failed(message="no memory"))
        assert not attribute._completed(part, release, False)
    end(part.run.id, Failed(message="no memory"))
    with pytest.raises(CouldNotRunError, match=r"(?s)shards 0 to 2 failed 3 times.*no memory"):
        attribute._completed(part, release, False)


@contextmanager
def worker(folder: Path) -> Iterator[None]:
    """The deployments of deploy/prefect.yaml, and a process worker for the GPU pool."""
    environment = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value(), "CALIG_HOME": os.getcwd(), "PYTHONPATH": os.getcwd()}
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    with (folder / "worker.log").open("w") as log:
        for command in (
            ["work-pool", "create", "calig", "--type", "process"],
            ["work-pool", "create", "calig-gpu", "--type", "process"],
            ["deploy", "--prefect-file", "deploy/prefect.yaml", "--all"],
        ):
            subprocess.run([*prefect, *command], env=environment, stdout=log, stderr=log, check=True, timeout=180)
        process = subprocess.Popen(
            [*prefect, "worker", "start", "--pool", "calig-gpu"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield
    finally:
        end_group(process)


def end_group(process: subprocess.Popen) -> None:
    """Asked first; on a crowded machine a worker may be too slow to answer, which is not what is tested."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.usefixtures("without_pools")
def test_a_worker_of_the_gpu_pool_computes_the_shards(tmp_path, dataset, monkeypatch):
    model = str(save_tiny_bert(tmp_path / "model"))
    plain = explain_release(
        model, dataset, config=PipelineConfig(attribution=AttributionConfig(shard_rows=10)), output=tmp_path / "a"
    )

    def nothing_here(*_args, **_options):
        raise AssertionError("computed in the process that only plans")

    monkeypatch.setattr(attribution, "explain_shard", nothing_here)
    with worker(tmp_path):
        outcome = explain_release(model, dataset, config=config(tmp_path / "store"), output=tmp_path / "b")
    assert outcome.record.data.n_explained == N_ROWS
    tables = [
        {path.name: path.read_bytes() for path in (folder / "attributions").iterdir()}
        for folder in (plain.folder, outcome.folder)
    ]
    assert tables[0] == tables[1]
