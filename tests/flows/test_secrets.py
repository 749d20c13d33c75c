"""Commands with secrets in their environment: whatever happens, none is printed, recorded, published or handed to Prefect."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from components.common.errors import CouldNotRunError
from flows.cli.app import app
from flows.trigger.listener.app import Listener, create_app
from flows.trigger.listener.health import Readiness
from schemas.trigger import ListenerConfig
from tests.helpers.canaries import files_with, said_by_mlflow
from tests.helpers.deliveries import body_of, headers_for
from tests.helpers.locked_server import locked_server
from tests.helpers.mlflow_server import running_mlflow_server
from tests.helpers.tiny_models import save_tiny_bert
from tests.helpers.tracking import connected

CANARY = "canary-Zx81"
ROOT = Path(__file__).parents[2]
SECRETS = {
    name: f"{CANARY}-{name.lower()}"
    for name in (
        *("MLFLOW_TRACKING_TOKEN", "CALIG_WEBHOOK_SECRET", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "AWS_SECRET_ACCESS_KEY"),
        *("CALIG_SIGNING_PASSPHRASE", "CALIG_TEXT_KEY", "HF_TOKEN", "MY_ALERT_SECRET"),
    )
}


def calig(*arguments: str, uri: str, folder: Path) -> str:
    """What the command prints in a process of its own; it must fail, for nobody lets it in."""
    environment = {**os.environ, **SECRETS, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 4, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(params=["unreachable", "locked"])
def closed(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address with a password of a server that is not there, or refuses and quotes what it was sent."""
    if request.param == "unreachable":
        yield f"http://someone:{CANARY}%2Fpassword@127.0.0.1:9"
    else:
        with locked_server() as place:
            yield f"http://someone:{CANARY}%2Fpassword@{place}"


def test_a_failure_tells_no_secret_not_even_with_debug(closed, tmp_path):
    said = calig("gate", "models:/reviews/2", "--debug", uri=closed, folder=tmp_path)
    assert "Traceback" in said
    assert "127.0.0.1" in said
    assert CANARY not in said


@pytest.mark.slow
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_run_that_fails_tells_no_secret(closed, dataset, tmp_path, debug):
    said = calig("explain", "models:/reviews/2", "--dataset", str(dataset), *debug, uri=closed, folder=tmp_path)
    assert CANARY not in said
    assert files_with(CANARY, tmp_path) == []


@pytest.mark.slow
@pytest.mark.usefixtures("_prefect")
def test_a_run_that_succeeds_leaves_no_secret_anywhere(dataset, tmp_path, monkeypatch, caplog):
    """A real server behind an address with a password, which it does not ask for."""
    (tmp_path / "server").mkdir()
    with running_mlflow_server(tmp_path / "server") as plain:
        from components import registry

        with connected(plain):
            bert = save_tiny_bert(tmp_path / "bert")
            version = registry.register(bert, name="reviews", experiment="training", tags={}, metrics={})
        monkeypatch.setenv("MLFLOW_TRACKING_URI", plain.replace("://", f"://someone:{CANARY}-password@"))
        for name in ("CALIG_WEBHOOK_SECRET", "CALIG_SIGNING_PASSPHRASE", "CALIG_TEXT_KEY", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, SECRETS[name])
        monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "hash.yaml").write_text("privacy: {texts: hash}\n", encoding="utf-8")
        uri = f"models:/reviews/{version}"
        arguments = ["explain", uri, "--dataset", str(dataset), "--config", "hash.yaml", "--debug"]
        with caplog.at_level(logging.DEBUG):
            result = CliRunner().invoke(app, arguments)
        assert result.exit_code in {0, 1, 3}, result.output
        assert "MLflow   run" in result.output
        (run_id,) = {line.split()[2] for line in result.output.splitlines() if line.startswith("MLflow")}
        said, artifacts = said_by_mlflow(uri, run_id, plain, tmp_path / "downloaded")
    assert CANARY not in result.output
    assert CANARY not in caplog.text
    assert CANARY not in said
    assert CANARY not in _prefect_says()
    assert files_with(CANARY, artifacts) == []
    assert files_with(CANARY, tmp_path / "calig-runs") == []


def _prefect_says() -> str:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return "".join(run.model_dump_json() for run in [*client.read_flow_runs(), *client.read_task_runs()])


def test_the_listener_tells_no_secret(tmp_path, monkeypatch, caplog):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    secret = SECRETS["CALIG_WEBHOOK_SECRET"]

    def fails(*_):
        raise CouldNotRunError(f"http://someone:{CANARY}@prefect refused {SECRETS['PREFECT_API_KEY']}")

    listener = Listener(ListenerConfig(replay_store=tmp_path / "seen.sqlite", drain_s=5), (secret.encode(),), fails)
    body = body_of("reviews", "3")
    with caplog.at_level(logging.DEBUG), TestClient(create_app(listener, Readiness({}))) as client:
        signed = [headers_for(body, secret=key) for key in (secret, "wrong")]
        answers = [client.post("/webhooks/mlflow", content=body, headers=headers) for headers in signed]
        answers += [client.get(path) for path in ("/healthz", "/readyz", "/metrics")]
    assert [answer.status_code for answer in answers[:2]] == [202, 401]
    assert "left to calig reconcile" in caplog.text
    assert CANARY not in caplog.text + "".join(answer.text for answer in answers)
    assert files_with(CANARY, tmp_path) == []
