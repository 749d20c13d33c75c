"""The trigger's Prefect side on a real Prefect API: one run per key, its fate read back, and a silent run ended."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import mlflow
import pytest
from prefect.client.orchestration import get_client
from prefect.states import Completed, Crashed, Failed, Running

from components.common.errors import CouldNotRunError, InputError
from flows.explain_release import explain_release
from flows.reconcile import reconcile
from flows.trigger.prefect_runs import PrefectRuns
from schemas.trigger import Action, Run, RunState
from tests.conftest import TinyRegistry

PARAMETERS = {"model": "models:/reviews/1", "dataset": "rows.jsonl", "config": {"quality": {"seed": 1}}, "request": "abc"}


@pytest.fixture
def runs(_prefect: None) -> PrefectRuns:
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(explain_release)
        schema = explain_release.to_deployment("explain-release")._parameter_openapi_schema
        client.create_deployment(flow_id, "explain-release", parameter_openapi_schema=schema.model_dump_for_openapi())
    return PrefectRuns("explain-release/explain-release")


def test_a_key_starts_one_run_whose_fate_is_read_back(runs: PrefectRuns) -> None:
    assert runs.find("reviews/1/abc/1") is None
    started = runs.start("reviews/1/abc/1", PARAMETERS)
    assert started.state is RunState.WAITING
    assert runs.start("reviews/1/abc/1", PARAMETERS).id == started.id
    assert runs.start("reviews/1/abc/2", PARAMETERS).id != started.id

    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(UUID(started.id))
        assert flow_run.name == "reviews/1 attempt 1"
        assert flow_run.parameters == PARAMETERS
        for state, expected in (
            (Running(), RunState.RUNNING),
            (Completed(), RunState.COMPLETED),
            (Failed(message="no disk"), RunState.DIED),
            (Crashed(message="exited with -9"), RunState.DIED),
        ):
            client.set_flow_run_state(UUID(started.id), state, force=True)
            found = runs.find("reviews/1/abc/1")
            assert found is not None
            assert found.state is expected
            assert datetime.now(UTC) - found.last_sign < timedelta(minutes=1)
    assert found.message == "Crashed: exited with -9"


def test_a_heartbeat_is_a_sign_of_life(runs: PrefectRuns) -> None:
    started = runs.start("reviews/4/abc/1", PARAMETERS)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(started.id), Running(), force=True)
        beat = datetime.now(UTC) + timedelta(seconds=20)
        resource = {"prefect.resource.id": f"prefect.flow-run.{started.id}"}
        event = {"event": "prefect.flow-run.heartbeat", "id": str(uuid4()), "occurred": beat.isoformat(), "resource": resource}
        client.request("POST", "/events", json=[event])
    deadline = time.monotonic() + 30  # events are stored a moment after they were taken
    while (found := runs.find("reviews/4/abc/1")) is not None and found.last_sign < beat and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found is not None
    assert found.last_sign == beat
    assert found.last_step is not None
    assert found.last_step < beat, "a process that hangs beats too"


def running(runs: PrefectRuns, key: str) -> Run:
    """A run that was started with `key` and picked up."""
    started = runs.start(key, PARAMETERS)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(started.id), Running(), force=True)
    return started


def test_a_run_that_hangs_is_asked_to_stop(runs: PrefectRuns) -> None:
    runs.stop(running(runs, "reviews/5/abc/1"), "no task began or ended for 3601 s")
    found = runs.find("reviews/5/abc/1")
    assert found is not None
    assert (found.state, found.stopping) == (RunState.RUNNING, True), "until its worker has ended it"


def test_a_silent_run_is_ended(runs: PrefectRuns) -> None:
    runs.bury(running(runs, "reviews/2/abc/1"), "no sign of life for 601 s")
    found = runs.find("reviews/2/abc/1")
    assert found is not None
    assert (found.state, found.message) == (RunState.DIED, "Crashed: no sign of life for 601 s")


def test_parameters_that_do_not_fit_and_an_unknown_deployment_say_what_to_do(runs: PrefectRuns) -> None:
    with pytest.raises(CouldNotRunError, match="could not start a run"):
        runs.start("reviews/3/abc/1", {**PARAMETERS, "limit": "many"})
    with pytest.raises(CouldNotRunError, match="prefect deploy"):
        PrefectRuns("explain-release/gone").start("reviews/3/abc/1", PARAMETERS)


def test_the_flow_starts_what_is_missing_and_fails_when_something_could_not_be_handed_over(
    runs: PrefectRuns, tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"flow-{tmp_path.name}"
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    client.create_model_version(name, f"file://{tmp_path}")
    (tmp_path / "rows.jsonl").write_text('{"text": "good"}\n')
    watch = {"models": [{"name": name, "dataset": str(tmp_path / "rows.jsonl")}]}
    (tmp_path / "watch.yaml").write_text(json.dumps(watch))
    monkeypatch.setenv("CALIG_WATCH", str(tmp_path / "watch.yaml"))
    (first,) = reconcile().steps
    (second,) = reconcile().steps
    assert (first.action, second.action) == (Action.STARTED, Action.UNDER_WAY)
    assert first.run_id == second.run_id
    with get_client(sync_client=True) as prefect:
        flow_run = prefect.read_flow_run(UUID(str(first.run_id)))
        assert flow_run.idempotency_key == f"{name}/1/{flow_run.parameters['request']}/1"
        assert flow_run.parent_task_run_id is None, "it lives on when the pass that started it has ended"

    client.create_model_version(name, f"file://{tmp_path}")
    (tmp_path / "watch.yaml").write_text(json.dumps({**watch, "deployment": "explain-release/gone"}))
    with pytest.raises(CouldNotRunError, match=r"1 of 2 versions(.|\n)*does not know the deployment"):
        reconcile()


def test_no_server_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(InputError, match="PREFECT_API_URL"):
        PrefectRuns("explain-release/explain-release")
