"""The same seam against a real MLflow server over HTTP, whose answers differ from a local store's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from components import registry
from components.errors import InputError
from tests.conftest import TinyRegistry
from tests.components.publishing import new_version, results_for
from tests.helpers.tiny_models import save_tiny_bert

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyRegistry]:
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, *stores], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait_until_well(uri, process, folder / "server.log")
        yield TinyRegistry(uri, save_tiny_bert(folder / "bert"), folder)
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # the server's workers share its group
        process.wait(timeout=30)


def _wait_until_well(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{uri}/health", timeout=2):  # noqa: S310
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()[-2000:]}")


def test_fetch_and_publish_over_http(server: TinyRegistry, tmp_path: Path) -> None:
    snapshot = new_version(server, "served", tmp_path)
    registry.set_alias("served", "champion", "1", server.tracking_uri)
    results = results_for(server.tracking_uri, snapshot, tmp_path / "results")
    published = results.publish()

    assert results.publish() == published
    assert registry.find_finished(snapshot, results.record.fingerprint, server.tracking_uri) == published
    assert published.run_url is not None
    assert published.run_url.startswith(f"{server.tracking_uri}/#/experiments/")
    assert f"[evidence]({published.run_url})" in results.version().description
    assert results.version().tags["calig.verdict"] == "fail"
    metrics = {metric.key: metric.value for metric in results.client.get_logged_model(snapshot.model_id).metrics}
    assert metrics["calig.margin.random"] == 0.666
    profile = registry.fetch_profile("served", "1", tmp_path, server.tracking_uri)
    assert profile is not None
    assert (profile / "attributions" / "shard-000.parquet").read_bytes() == (
        results.folder / "attributions" / "shard-000.parquet"
    ).read_bytes()


def test_references_over_http(server: TinyRegistry, tmp_path: Path) -> None:
    first, second = new_version(server, "pair", tmp_path), new_version(server, "pair", tmp_path)
    assert registry.reference_for(second, "champion", server.tracking_uri) is None
    registry.set_alias("pair", "champion", "1", server.tracking_uri)
    reference = registry.reference_for(second, "champion", server.tracking_uri)
    assert reference is not None
    assert reference.uri == first.uri
    by_alias = registry.fetch(
        registry.parse_model_ref("models:/pair@champion"), workspace=tmp_path, tracking_uri=server.tracking_uri
    )
    assert by_alias.weights_digest == first.weights_digest


@pytest.mark.parametrize(
    ("text", "message"),
    [("models:/gone/1", "no registered model"), ("models:/pair/99", "allowed: 2, 1"), ("models:/pair@gone", "no alias")],
)
def test_unknown_names_over_http(server: TinyRegistry, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.fetch(registry.parse_model_ref(text), workspace=tmp_path, tracking_uri=server.tracking_uri)
    assert registry.fetch_profile("gone", "1", tmp_path, server.tracking_uri) is None
