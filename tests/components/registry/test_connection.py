"""The same seam against a real MLflow server over HTTP, whose answers differ from a local store's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components import registry
from components.common.errors import InputError
from tests.components.registry.publishing import new_version, results_for
from tests.conftest import TinyRegistry
from tests.helpers.mlflow_server import running_mlflow_server
from tests.helpers.tiny_models import save_tiny_bert
from tests.helpers.tracking import connected

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyRegistry]:
    folder = tmp_path_factory.mktemp("server")
    with running_mlflow_server(folder) as uri, connected(uri):
        yield TinyRegistry(uri, save_tiny_bert(folder / "bert"), folder)


def test_fetch_and_publish_over_http(server: TinyRegistry, tmp_path: Path) -> None:
    snapshot = new_version(server, "served", tmp_path)
    registry.set_alias("served", "champion", "1")
    results = results_for(snapshot, tmp_path / "results")
    published = results.publish()

    assert results.publish() == published
    assert registry.find_finished(snapshot, results.record.fingerprint) == published
    assert published.run_url is not None
    assert published.run_url.startswith(f"{server.tracking_uri}/#/experiments/")
    page = published.run_url.removeprefix(server.tracking_uri + "/")
    assert f"[Open the report]({page}/artifacts/calig/report.html)" in results.version().description
    assert results.version().tags["calig.verdict"] == "fail"
    metrics = {metric.key: metric.value for metric in results.client.get_logged_model(snapshot.model_id).metrics}
    assert metrics["calig.margin.random"] == 0.666
    evidence = results.evidence()
    assert (evidence.run_id, evidence.doubts) == (published.run_id, ())
    profile = registry.fetch_profile(evidence, tmp_path)
    assert (profile / "attributions" / "shard-000.parquet").read_bytes() == (
        results.folder / "attributions" / "shard-000.parquet"
    ).read_bytes()


def test_references_over_http(server: TinyRegistry, tmp_path: Path) -> None:
    first, second = new_version(server, "pair", tmp_path), new_version(server, "pair", tmp_path)
    assert registry.reference_for(second, "champion") is None
    registry.set_alias("pair", "champion", "1")
    reference = registry.reference_for(second, "champion")
    assert reference is not None
    assert reference.uri == first.uri
    by_alias = registry.fetch(registry.parse_model_ref("models:/pair@champion"), workspace=tmp_path)
    assert by_alias.weights_digest == first.weights_digest


@pytest.mark.parametrize(
    ("text", "message"),
    [("models:/gone/1", "no registered model"), ("models:/pair/99", "allowed: 2, 1"), ("models:/pair@gone", "no alias")],
)
def test_unknown_names_over_http(server: TinyRegistry, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        registry.fetch(registry.parse_model_ref(text), workspace=tmp_path)
