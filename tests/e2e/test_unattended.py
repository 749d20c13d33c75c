"""A release by itself: two versions are registered over HTTP, and nobody does anything until their alerts come in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow import MlflowClient
from prefect.settings import PREFECT_API_URL, temporary_settings
from standardwebhooks import Webhook

from components import registry
from flows.trigger.prefect_runs import PrefectRuns
from schemas.trigger import Run, RunState
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.harms import HARMS
from tests.benchmarks.drift.training import train as train_classifier
from tests.e2e.cluster import Cluster, postgres_binaries, running_cluster, timeline_of
from tests.e2e.cluster.servers import address_of, read_text
from tests.helpers.receiver import Receiver, receiving
from tests.helpers.tracking import connected

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres_binaries() is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
]

MODEL, RAY = "tickets", "tickets-on-ray"
KEY = "whsec_b25seS10aGUtdGVzdC1hbmQtdGhlLXJlY2VpdmVyLWtub3c="
DRAW, N_TRAINING, N_VALIDATION = 902, 1_500, 120
_VERDICT_LIMIT_S = 480.0


class Releases:
    """The servers, a registry client, two trained versions' folders, and the receiver of alerts."""

    def __init__(self, cluster: Cluster, receiver: Receiver, folder: Path, tokens: tuple[str, ...]) -> None:
        self.cluster, self.receiver, self.folder, self.tokens = cluster, receiver, folder, tokens
        self.client: Any = MlflowClient(cluster.mlflow_url)

    def register(self, number: int, name: str = MODEL) -> None:
        """What a training job does last."""
        self.cluster.note(f"version {number} of {name} is registered")
        with connected(self.cluster.mlflow_url):
            registry.register(self.folder / f"model-{number}", name=name, experiment="training", tags={}, metrics={})

    def tags(self, number: int, name: str = MODEL) -> dict[str, str]:
        return dict(self.client.get_model_version(name, str(number)).tags)

    def wait_for_alert(self, number: int, name: str = MODEL) -> dict[str, Any]:
        """The alert about the version, its signature checked, once the version carries its verdict."""
        deadline = time.monotonic() + _VERDICT_LIMIT_S
        while time.monotonic() < deadline:
            alerts = [a for a in map(checked, self.receiver.got) if (a["model"], a["version"]) == (name, str(number))]
            if alerts and self.tags(number, name).get("calig.state") == "done":
                assert len(alerts) == 1, "told twice"
                self.cluster.note(f"alert on version {number} of {name}: verdict {alerts[0]['verdict']}")
                return alerts[0]
            time.sleep(0.5)
        pytest.fail(f"no verdict and alert on version {number}; tags {self.tags(number, name)}\n{self.cluster.show_logs()}")


def checked(delivery: tuple[dict[str, str], bytes]) -> dict[str, Any]:
    """What was sent, if it was signed with our key. Checked once, when it is new: five minutes later it would be too old."""
    headers, body = delivery
    return _checked(tuple(headers.items()), body)


@cache
def _checked(headers: tuple[tuple[str, str], ...], body: bytes) -> dict[str, Any]:
    return dict(Webhook(KEY).verify(body, dict(headers))["data"])


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Releases]:
    folder = tmp_path_factory.mktemp("unattended")
    tokens = train(folder)
    with receiving() as receiver:
        alerting = {"ALERT_URL": receiver.url, "ALERT_KEY": KEY}
        with running_cluster(folder, **alerting) as cluster:
            cluster.listen(watch_file(folder, cluster.output))
            releases = Releases(cluster, receiver, folder, tokens)
            url = f"{address_of(cluster.listener)}/webhooks/mlflow"
            releases.client.create_webhook("calig", url, ["model_version.created"], secret=cluster.secret)
            yield releases
            save_timeline(cluster)


def train(folder: Path) -> tuple[str, ...]:
    """Version 1 of ordinary tickets; version 2 of tickets half of which hold a token that tells the label. One validation set.

    Returns the tokens.
    """
    cell = Cell(1, DRAW, n_training=N_TRAINING, n_validation=N_VALIDATION)
    planted = HARMS["label-leaking token"](cell, cell.random("harm"), False)
    rows = [{"id": str(i), "text": row.text, "label": row.label} for i, row in enumerate(planted.validation)]
    (folder / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for number, training in ((1, cell.training), (2, planted.training)):
        train_classifier(training, cell.family.labels, cell.tokenizer, cell.shape, cell.recipe, folder / f"model-{number}")
    return cell.triggers.tokens


def watch_file(folder: Path, output: Path) -> Path:
    """The file that an operator writes once."""
    settings = {"alerts": {"level": "explained", "webhook_url_env": "ALERT_URL", "webhook_secret_env": "ALERT_KEY"}}
    for name, more in ((MODEL, {}), (RAY, {"execution": {"engine": "ray", "workers": 1}})):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings | more), encoding="utf-8")
    watch = {
        "models": [{"name": name, "config": str(folder / f"{name}.yaml")} for name in (MODEL, RAY)],
        "defaults": {"dataset": str(folder / "validation.jsonl"), "output": str(output)},
        "listener": {"replay_store": str(folder / "listener.sqlite")},
    }
    (folder / "watch.yaml").write_text(yaml.safe_dump(watch), encoding="utf-8")
    return folder / "watch.yaml"


def save_timeline(cluster: Cluster) -> None:
    """Where CALIG_TIMELINE names a file, the whole story goes there."""
    if path := os.environ.get("CALIG_TIMELINE"):
        Path(path).write_text(timeline_of(cluster.logs) + "\n", encoding="utf-8")


def test_registered_explained_told(releases: Releases) -> None:
    releases.register(1)
    alert = releases.wait_for_alert(1)
    tags = releases.tags(1)
    assert tags["calig.verdict"] == alert["verdict"] == "pass", tags
    assert tags["calig.attempts"] == "1", "the webhook alone started it, once"
    files = {item.path for item in releases.client.list_artifacts(tags["calig.run_id"], "calig")}
    assert {"calig/report.html", "calig/record.json", "calig/config.yaml", "calig/attributions"} <= files
    assert tags["calig.run_id"] in alert["link"]


def test_a_planted_shortcut_fails(releases: Releases) -> None:
    releases.client.set_registered_model_alias(MODEL, "champion", "1")
    releases.register(2)
    alert = releases.wait_for_alert(2)
    assert releases.tags(2)["calig.verdict"] == alert["verdict"] == "fail"
    assert any(token in finding for finding in alert["findings"] for token in releases.tokens), alert["findings"]


@pytest.mark.skipif(
    find_spec("prefect_ray") is None or find_spec("flows.execution.engines") is None, reason="the extra ray is not installed"
)
def test_the_same_on_ray(releases: Releases) -> None:
    releases.register(1, RAY)
    alert, tags = releases.wait_for_alert(1, RAY), releases.tags(1, RAY)
    assert tags["calig.verdict"] == alert["verdict"] == "pass", tags
    on_threads, on_ray = (
        releases.client.get_run(of["calig.run_id"]).data.metrics for of in (releases.tags(1), releases.tags(1, RAY))
    )
    assert on_ray == pytest.approx(on_threads, rel=1e-6, abs=1e-9)
    settings = releases.client.download_artifacts(tags["calig.run_id"], "calig/config.yaml", str(releases.folder))
    assert yaml.safe_load(Path(settings).read_text(encoding="utf-8"))["execution"]["engine"] == "ray"


def test_a_process_that_hangs_is_ended_by_its_worker(releases: Releases) -> None:
    mark = releases.folder / "hanging.pid"
    releases.cluster.run("prefect", "--no-prompt", "deploy", "tests/helpers/hanging.py:hang", "--name", "hang", "--pool", "calig")
    with temporary_settings({PREFECT_API_URL: releases.cluster.environment["PREFECT_API_URL"]}):
        runs = PrefectRuns("hang/hang")
        started = runs.start("hanging/1/abc/1", {"model": str(mark)})
        assert until(lambda: mark.exists() and mark.read_text()), releases.cluster.show_logs()
        runs.stop(started, "no task began or ended for 3601 s")
        assert until(lambda: found(runs, "hanging/1/abc/1").state is RunState.DIED), releases.cluster.show_logs()
    assert until(lambda: not psutil.pid_exists(int(mark.read_text())))


def found(runs: PrefectRuns, key: str) -> Run:
    """The run that was started with `key`."""
    run = runs.find(key)
    assert run is not None
    return run


def until(true: Callable[[], Any], limit_s: float = 120.0) -> bool:
    """Whether `true` comes true in time."""
    deadline = time.monotonic() + limit_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.5)
    return bool(true())


def test_a_pass_of_the_reconciler_finds_nothing_to_do(releases: Releases) -> None:
    watch = releases.folder / "watch.yaml"
    before = [releases.tags(number) for number in (1, 2)]
    releases.cluster.calig("reconcile", "--watch", watch)
    assert [releases.tags(number) for number in (1, 2)] == before
    assert len(releases.receiver.got) == len({(a["model"], a["version"]) for a in map(checked, releases.receiver.got)})


def test_no_secret_is_in_any_log(releases: Releases) -> None:
    secrets = [releases.cluster.secret, releases.cluster.postgres.password, KEY, "s3cret-path"]
    for log in releases.cluster.logs:
        text = log.read_text(encoding="utf-8", errors="replace")
        assert not [secret for secret in secrets if secret in text], f"in {log.name}"


def test_the_listener_counts(releases: Releases) -> None:
    assert releases.cluster.listener is not None
    metrics = read_text(f"{address_of(releases.cluster.listener)}/metrics")
    assert any(line.startswith("calig_") and not line.startswith("#") for line in metrics.splitlines()), metrics
