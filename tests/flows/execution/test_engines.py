"""Shards on other engines and in stores: the same tables and the same fingerprint, only what is unfinished is computed again."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from prefect import flow
from pydantic import ValidationError

from components import registry
from components.common.errors import CouldNotRunError, InputError
from components.common.stores import Store
from flows.execution import engines, exchange
from flows.pipeline.attribute import attribute
from flows.pipeline.resolve import resolve
from schemas.config import AttributionConfig, ExecutionConfig, PipelineConfig
from schemas.planned_release import Release
from tests.helpers.tiny_adapters import save_tiny_adapter
from tests.helpers.tiny_models import save_tiny_bert

LEAN = PipelineConfig(attribution=AttributionConfig(shard_rows=10))


def on(**execution) -> PipelineConfig:
    return LEAN.model_copy(update={"execution": ExecutionConfig(**execution)})


@pytest.fixture
def release(tmp_path: Path, dataset: Path, _prefect: None) -> Release:
    """A model from a folder and forty rows, settled."""
    return resolve(str(save_tiny_bert(tmp_path / "model")), dataset, None, LEAN, None, tmp_path / "runs")


@pytest.fixture
def shards_of(release: Release):
    """Attribute all shards in a flow of their own; the release as it was attributed, and its tables' bytes by name."""

    @flow(name="attributing")
    def attributing(given: Release, force: bool) -> None:
        attribute(given, force)

    def run(execution: dict[str, Any], output: str = "runs", force: bool = False) -> dict[str, bytes]:
        given = release.model_copy(update={"config": on(**execution), "output": release.output.with_name(output)})
        attributing(given, force)
        return {given.shard_path(i).name: given.shard_path(i).read_bytes() for i in range(given.n_shards)}

    return run


@pytest.mark.parametrize(
    "execution",
    [
        {"engine": "processes", "workers": 7},
        {"engine": "ray", "address": "ray://head:10001", "gpus_per_shard": 0.5},
        {"engine": "dask", "address": "tcp://scheduler:8786"},
        {"store": "s3://bucket/calig", "attribution_deployment": "attribute-shards/attribute-shards"},
    ],
)
def test_where_the_work_is_done_is_part_of_no_fingerprint(execution):
    assert on(**execution).results_dump() == LEAN.results_dump()


@pytest.mark.parametrize(
    ("execution", "words"),
    [
        ({"engine": "spark"}, "'threads', 'processes', 'ray' or 'dask'"),
        ({"engine": "processes", "address": "tcp://a:1"}, "allowed with ray, dask"),
        ({"engine": "dask", "gpus_per_shard": 0.5}, "allowed with ray"),
        ({"attribution_deployment": "a/b"}, "needs a store"),
        ({"store": "/a/folder"}, "file:///folder"),
        ({"store": "s3://key:secret@bucket/x"}, "leave them to the environment"),
        ({"store": "memory://x", "engine": "processes"}, "one process alone"),
    ],
)
def test_settings_that_do_not_fit_say_what_is_allowed(execution, words):
    with pytest.raises(ValidationError, match=words):
        ExecutionConfig(**execution)


@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_a_missing_extra_costs_no_work_and_is_named(shards_of, computed, monkeypatch, engine):
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=rf"(?s)prefect-{engine}.*pip install 'calig\[{engine}\]'"):
        shards_of({"engine": engine})
    assert computed == []


def test_each_engine_has_its_runner():
    assert type(engines.runner_of(ExecutionConfig())).__name__ == "ThreadPoolTaskRunner"
    assert type(engines.runner_of(ExecutionConfig(engine="processes"))).__name__ == "ProcessPoolTaskRunner"
    ray = pytest.importorskip("prefect_ray")
    assert isinstance(engines.runner_of(ExecutionConfig(engine="ray", address="auto")), ray.RayTaskRunner)
    from prefect_ray.context import RemoteOptionsContext

    with engines.ray_resources(ExecutionConfig(engine="ray", gpus_per_shard=0.25)):
        assert RemoteOptionsContext.get().current_remote_options == {"num_gpus": 0.25}


def test_a_store_in_memory_holds_tables_and_results(shards_of, computed, tmp_path):
    plain, store = shards_of({}), f"memory://{tmp_path.name}/calig"
    computed.clear()
    assert shards_of({"store": store}, "elsewhere") == plain
    assert sorted(computed) == [0, 1, 2, 3]
    assert len(Store(store).names("attributions")) == 4
    assert len(Store(store).names("prefect")) == 4
    computed.clear()
    assert shards_of({"store": store}, "a-third") == plain
    assert computed == [], "a run on another disk finds all shards in the store"


def test_a_shard_damaged_in_the_store_is_computed_again(shards_of, computed, tmp_path):
    store = tmp_path / "store"
    first = shards_of({"store": f"file://{store}"})
    assert len(list(store.glob("prefect/*"))) == 4
    (damaged,) = store.glob("attributions/*/shard-00002.parquet")
    damaged.write_bytes(damaged.read_bytes()[:-10])
    computed.clear()
    assert shards_of({"store": f"file://{store}"}, "elsewhere") == first
    assert computed == [2]


@pytest.fixture
def handed_out(release: Release, tmp_path) -> Release:
    """Rows and model are in a store, and gone from where they were."""
    given = release.model_copy(update={"config": on(store=f"file://{tmp_path}/store")})
    exchange.upload_inputs(given, range(given.n_shards))
    given.snapshot.model_path.rename(tmp_path / "gone")
    given.dataset.path.unlink()
    return given


def test_a_worker_elsewhere_needs_neither_the_model_nor_the_data_set_on_its_disk(handed_out):
    snapshot, rows = exchange.load_inputs(handed_out, 3)
    assert [row.row for row in rows] == list(range(30, 40))
    assert snapshot.model_path != handed_out.snapshot.model_path
    assert snapshot.weights_digest == handed_out.snapshot.weights_digest
    assert {path.suffix for path in snapshot.model_path.iterdir()} <= {".json", ".safetensors", ".txt"}


@pytest.mark.usefixtures("_prefect")
def test_an_adapter_is_handed_out_with_its_base(tmp_path, dataset):
    save_tiny_adapter(tmp_path / "adapter", save_tiny_bert(tmp_path / "base"))
    made = resolve(str(tmp_path / "adapter"), dataset, None, LEAN, None, tmp_path / "runs")
    given = made.model_copy(update={"config": on(store=f"file://{tmp_path}/store")})
    exchange.upload_inputs(given, [0])
    for folder in (given.snapshot.model_path, tmp_path / "base"):
        folder.rename(folder.with_name("gone-" + folder.name))
    snapshot, _ = exchange.load_inputs(given, 0)
    assert snapshot.model_path != given.snapshot.model_path
    assert registry.is_here(snapshot)


def test_a_model_swapped_in_the_store_is_refused(handed_out, tmp_path):
    (weights,) = (tmp_path / "store").glob("models/*/model.safetensors")
    weights.write_bytes((save_tiny_bert(tmp_path / "other", seed=9) / "model.safetensors").read_bytes())
    with pytest.raises(CouldNotRunError, match="is not the model"):
        exchange.load_inputs(handed_out, 0)


def test_a_deployment_that_does_not_exist_is_named(shards_of, tmp_path):
    with pytest.raises(CouldNotRunError, match=r"(?s)attribute-shards/nowhere.*prefect --no-prompt deploy"):
        shards_of({"store": f"file://{tmp_path}/store", "attribution_deployment": "attribute-shards/nowhere"})


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "dask", "ray"])
def test_every_engine_gives_the_same_tables_bit_for_bit(shards_of, computed, monkeypatch, engine):
    if engine != "processes":
        pytest.importorskip(f"prefect_{engine}")
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    plain = shards_of({})
    computed.clear()
    assert shards_of({"engine": engine}, "elsewhere", force=True) == plain
    assert computed == [], "no shard is computed in this process"


@pytest.mark.slow
def test_what_one_engine_finished_another_does_not_compute_again(shards_of, computed, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    shards_of({"engine": "processes"})
    (damaged,) = tmp_path.glob("runs/.cache/attributions/*/shard-00001.parquet")
    damaged.unlink()
    shards_of({})
    assert computed == [1]


@pytest.mark.slow
def test_workers_that_are_killed_are_replaced_and_finished_shards_kept(shards_of, monkeypatch, tmp_path):
    from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    storage = PREFECT_LOCAL_STORAGE_PATH.value()
    known, finished, killed = set(storage.glob("calig-shard-*")), [], []

    def kill_one() -> None:
        while not killed:
            time.sleep(0.02)
            worker, records = _a_worker(), set(storage.glob("calig-shard-*")) - known
            if worker and records:
                finished.extend(_written(tmp_path / "runs", record.name[-5:]) for record in records)
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)

    thread = Thread(target=kill_one, daemon=True)
    thread.start()
    tables = shards_of({"engine": "processes"})
    killed.append(0)  # ends the thread should there have been nothing to kill
    thread.join(timeout=5)
    assert len(killed) == 2
    assert len(tables) == 4
    assert finished
    assert all(_written(tmp_path / "runs", index) == (index, when) for index, when in finished)


def _written(output: Path, index: str) -> tuple[str, float]:
    (table,) = output.glob(f".cache/attributions/*/shard-{index}.parquet")
    return index, table.stat().st_mtime


def test_a_pool_that_breaks_while_it_starts_a_worker_has_lost_it():
    spawn = get_context("spawn")
    inherited, _ = spawn.Pipe()
    inherited.close()
    with pytest.raises(OSError, match="closed") as raised:
        spawn.Process(target=print, args=(inherited,)).start()
    assert engines.is_loss(raised.value)
    assert not engines.is_loss(OSError(28, "No space left on device"))


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_honestly(shards_of, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    stop: list[bool] = []

    def kill_all() -> None:
        while not stop:
            worker = _a_worker()
            if worker:
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.1)

    thread = Thread(target=kill_all, daemon=True)
    thread.start()
    try:
        with pytest.raises(CouldNotRunError, match=r"(?s)died 2 times.*fewer execution.workers"):
            shards_of({"engine": "processes", "lost_workers": 1})
    finally:
        stop.append(True)
        thread.join(timeout=5)


def _a_worker() -> int:
    """A spawned child of this process that is a pool's worker; 0 when there is none."""
    for child in (child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()):
        try:
            if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
        except OSError:  # it ended meanwhile
            continue
    return 0
