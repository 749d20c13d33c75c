"""Where artifacts may lie: no other host gets the tracking server's credentials, no experiment leads evidence away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from components import registry
from components.common.errors import InputError, PublishError
from components.registry.addresses import check_experiment, check_place, repository_of
from tests.components.registry.publishing import new_version, results_for
from tests.conftest import TinyRegistry
from tests.helpers.mlflow_server import running_mlflow_server
from tests.helpers.tiny_models import save_tiny_bert
from tests.helpers.tracking import connected

SERVER = "http://mlflow.example:5000"


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("mlflow-artifacts:/1/abc/artifacts", SERVER),
        ("mlflow-artifacts://mlflow.example:5000/1", SERVER),
        ("http://MLFLOW.example:5000/api/2.0/mlflow-artifacts/artifacts/1", SERVER),
        ("https://mlflow.example/x", "https://mlflow.example:443"),
        ("s3://bucket/mlflow", SERVER),
        ("file:///srv/artifacts", "sqlite:///mlflow.db"),
        ("/srv/artifacts", "sqlite:///mlflow.db"),
    ],
)
def test_places_of_the_server_itself(address: str, server: str) -> None:
    check_place(address, server)


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("mlflow-artifacts://evil.example/1", SERVER),
        ("mlflow-artifacts://mlflow.example:5001/1", SERVER),
        ("https://evil.example/1", SERVER),
        ("http://mlflow.example:5000@evil.example/1", SERVER),
        ("http://evil.example/1", "sqlite:///mlflow.db"),
        ("http://evil.example/1", "postgresql://evil.example/db"),
    ],
)
def test_no_other_host_is_asked(address: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="another host"):
        check_place(address, server)
    root = address.replace("mlflow.example:5000@", "")
    monkeypatch.setenv("CALIG_ARTIFACT_ROOTS", f"s3://other, {root.rpartition('/')[0]}")
    check_place(root, server)


@pytest.mark.parametrize("address", ["file:///srv/artifacts", "/srv/artifacts", "mlruns/1"])
def test_a_path_of_the_servers_machine_is_none_of_this_one(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="path of its own machine"):
        check_place(address, SERVER)
    monkeypatch.setenv("CALIG_ARTIFACT_ROOTS", "file:///srv")
    check_place("file:///srv/artifacts", SERVER)
    for beside in ("file:///srv2/artifacts", "file:///srv/../etc"):
        with pytest.raises(InputError):
            check_place(beside, SERVER)


def _client(location: str) -> SimpleNamespace:
    first = SimpleNamespace(artifact_location="mlflow-artifacts:/0")
    return SimpleNamespace(tracking_uri=SERVER, get_experiment=lambda _: first, location=location)


@pytest.mark.parametrize("location", ["s3://elsewhere/1", "mlflow-artifacts:/other/9", "mlflow-artifacts:/8"])
def test_an_experiment_with_a_place_of_its_own_is_refused(location: str) -> None:
    experiment = SimpleNamespace(name="calig/m", experiment_id="9", artifact_location=location)
    with pytest.raises(InputError, match=r"a place of its own(.|\n)*allowed: mlflow-artifacts:/9"):
        check_experiment(_client(location), experiment)
    check_experiment(_client(location), SimpleNamespace(name="m", experiment_id="9", artifact_location="mlflow-artifacts:/9"))


def test_evidence_does_not_follow_an_experiment_made_beforehand(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    snapshot = new_version(tiny_registry, "led-away", tmp_path)
    results = results_for(snapshot, tmp_path / "results")
    results.client.create_experiment("calig/led-away", artifact_location=(tmp_path / "elsewhere").as_uri())

    with pytest.raises(InputError, match="a place of its own"):
        registry.check_destination("led-away")
    with pytest.raises(PublishError, match="a place of its own"):
        results.publish()
    assert not (tmp_path / "elsewhere").exists()
    assert "calig.verdict" not in results.version().tags


@pytest.fixture
def evil() -> Iterator[tuple[str, list[str]]]:
    """Another host, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/2.0/mlflow-artifacts/artifacts/x", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_source_on_another_host_is_sent_nothing(
    tiny_registry: TinyRegistry, tmp_path: Path, evil: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = evil
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "someone")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "canary-password")
    client = mlflow.MlflowClient()
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", address)

    with pytest.raises(InputError, match="another host"):
        registry.fetch(registry.parse_model_ref("models:/elsewhere/1"), workspace=tmp_path)
    assert asked == []


def test_a_run_of_another_host_is_sent_nothing(
    tiny_registry: TinyRegistry, tmp_path: Path, evil: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by way of `runs:/`."""
    address, asked = evil
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "canary-token")
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment(f"evil-{tmp_path.name}", artifact_location=address))
    with pytest.raises(InputError, match="another host"):
        repository_of(f"runs:/{run.info.run_id}/model", client)
    assert asked == []


@pytest.mark.slow
def test_a_server_whose_artifact_root_is_a_path_is_refused_and_nothing_is_marked(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with (
        running_mlflow_server(folder, "--default-artifact-root", str(folder / "root"), "--no-serve-artifacts") as uri,
        connected(uri),
    ):
        server = TinyRegistry(uri, save_tiny_bert(tmp_path / "bert"), tmp_path)
        with pytest.raises(InputError, match="path of its own machine"):
            registry.check_destination("anything")
        version = server.register(server.bert, "kept-there")
        with pytest.raises(InputError, match="path of its own machine"):
            registry.fetch(registry.parse_model_ref(f"models:/kept-there/{version}"), workspace=tmp_path)
