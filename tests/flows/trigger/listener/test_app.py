"""The receiver, through its real application: what is let in, what is refused, and that nothing but the registry is believed."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from components.common.errors import CouldNotRunError, InputError
from flows.cli.app import app as commands
from flows.trigger.listener.app import Listener, create_app
from flows.trigger.listener.deliveries import read_secrets
from flows.trigger.listener.health import Readiness
from schemas.trigger import Action, ListenerConfig, Step
from tests.helpers.deliveries import SECRET, body_of, headers_for

HOOK = "/webhooks/mlflow"
THEIRS, NEW = "another-secret-of-theirs", "the-new-secret-of-ours"


class Looked:
    """Stands where `look_at` does: keeps what was looked at; a test may hold it up or let it fail."""

    def __init__(self) -> None:
        self.at: list[tuple[str, str]] = []
        self.free = threading.Event()
        self.free.set()
        self.error: Exception | None = None

    def __call__(self, name: str, version: str) -> Step:
        self.at.append((name, version))
        assert self.free.wait(10)
        if self.error is not None:
            raise self.error
        return Step(model=name, version=version, action=Action.STARTED)

    def wait_for(self, n: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.at) < n and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(self.at) == n


@pytest.fixture
def looked() -> Iterator[Looked]:
    found = Looked()
    yield found
    found.free.set()


@pytest.fixture
def listening(tmp_path: Path, looked: Looked):
    @contextmanager
    def start(*, secrets: tuple[bytes, ...] = (SECRET.encode(),), checks: Any = None, **config: Any):
        settings = ListenerConfig(**{"replay_store": tmp_path / "seen.sqlite", "drain_s": 5, **config})
        listener = Listener(settings, secrets, looked)
        with TestClient(create_app(listener, Readiness(checks or {}))) as client:
            yield client

    return start


def deliver(client: TestClient, body: bytes, **signed: Any):
    return client.post(HOOK, content=body, headers=headers_for(body, **signed))


def counted(client: TestClient, name: str) -> float:
    (line,) = (line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


def test_a_delivery_is_accepted_and_looked_at(listening, looked: Looked) -> None:
    with listening() as client:
        answer = deliver(client, body_of("reviews", "3"))
        assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
        looked.wait_for(1)
    assert looked.at == [("reviews", "3")]


def test_a_known_answer_worked_out_by_hand(listening, looked: Looked) -> None:
    """HMAC by its definition, H((K ^ opad) | H((K ^ ipad) | m)), and not by the library that the listener uses."""
    body, moment = body_of("reviews"), str(int(time.time()))
    key = SECRET.encode().ljust(64, b"\0")
    message = b"some-id." + moment.encode() + b"." + body
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in key) + message).digest()
    signature = base64.b64encode(hashlib.sha256(bytes(b ^ 0x5C for b in key) + inner).digest()).decode()
    headers = {"X-MLflow-Delivery-Id": "some-id", "X-MLflow-Timestamp": moment, "X-MLflow-Signature": f"v1,{signature}"}
    with listening() as client:
        assert client.post(HOOK, content=body, headers=headers).status_code == 202
        assert client.post(HOOK, content=body + b" ", headers=headers).status_code == 401, "a body changed by one byte"
        assert client.post(HOOK, content=body, headers=headers | {"X-MLflow-Delivery-Id": "other"}).status_code == 401
        later = headers | {"X-MLflow-Timestamp": str(int(moment) + 1)}
        assert client.post(HOOK, content=body, headers=later).status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"X-MLflow-Signature": "v1,AAAA"}, 401),
        ({"X-MLflow-Signature": ""}, 401),
        ({"X-MLflow-Signature": "v2,AAAA"}, 401),
        ({"X-MLflow-Delivery-Id": ""}, 400),
        ({"X-MLflow-Delivery-Id": "a b"}, 400),
        ({"X-MLflow-Delivery-Id": "x" * 129}, 400),
        ({"X-MLflow-Timestamp": "soon"}, 400),
        ({"X-MLflow-Timestamp": "-5"}, 400),
    ],
)
def test_forged_and_malformed_headers(listening, looked: Looked, change: dict[str, str], status: int) -> None:
    body = body_of("reviews")
    with listening() as client:
        answer = client.post(HOOK, content=body, headers=headers_for(body) | change)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert SECRET not in answer.text
    assert looked.at == []


def test_another_secret_is_refused_and_while_secrets_are_rotated_both_are_taken(listening, looked: Looked) -> None:
    with listening() as client:
        assert deliver(client, body_of("reviews"), secret=THEIRS).status_code == 401
    with listening(secrets=(NEW.encode(), SECRET.encode())) as client:
        assert deliver(client, body_of("reviews"), secret=NEW).status_code == 202
        assert deliver(client, body_of("reviews")).status_code == 202


@pytest.mark.parametrize(("off_s", "status"), [(-301, 400), (302, 400), (-290, 202), (290, 202)])
def test_the_timestamp_window(listening, off_s: int, status: int) -> None:
    with listening() as client:
        assert deliver(client, body_of("reviews"), at_s=time.time() + off_s).status_code == status


def test_a_replay_is_handed_over_no_second_time_even_after_a_restart(listening, looked: Looked) -> None:
    body = body_of("reviews", "7")
    headers = headers_for(body)
    with listening() as client:
        assert client.post(HOOK, content=body, headers=headers).json() == {"status": "accepted"}
        looked.wait_for(1)
        assert client.post(HOOK, content=body, headers=headers).json() == {"status": "duplicate"}
        assert counted(client, 'calig_listener_deliveries_total{answer="duplicate"}') == 1
    with listening() as client:
        assert counted(client, "calig_listener_remembered_deliveries") == 1
        assert client.post(HOOK, content=body, headers=headers).json() == {"status": "duplicate"}
    assert looked.at == [("reviews", "7")]


def test_a_refused_delivery_may_come_again(listening, looked: Looked) -> None:
    body = body_of("reviews")
    headers = headers_for(body, delivery="the-same")
    with listening() as client:
        forged = client.post(HOOK, content=body, headers=headers | {"X-MLflow-Signature": "v1,AAAA"})
        assert forged.status_code == 401
        assert client.post(HOOK, content=body, headers=headers).json() == {"status": "accepted"}


def test_a_long_body_is_refused_without_being_read(listening, looked: Looked) -> None:
    def ten_megabytes() -> Iterator[bytes]:
        for _ in range(160):
            yield b"x" * 65536

    with listening() as client:
        headers = headers_for(b"x")
        announced = client.post(HOOK, content=b"x" * 10_000_000, headers=headers)
        streamed = client.post(HOOK, content=ten_megabytes(), headers=headers)
        assert [announced.status_code, streamed.status_code] == [413, 413]
        assert counted(client, 'calig_listener_deliveries_total{answer="too_long"}') == 2
        limit = body_of("reviews", note="x" * 60000)
        assert deliver(client, limit).status_code == 202


def test_too_many_requests_are_told_when_to_come_again(listening) -> None:
    with listening(rate_per_s=0.5, burst=3) as client:
        answers = [deliver(client, body_of("reviews", str(i + 1))) for i in range(5)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2


def test_what_does_not_fit_into_the_queue_is_left_to_the_reconciler(listening, looked: Looked, caplog) -> None:
    looked.free.clear()
    with caplog.at_level(logging.WARNING, "calig.listener"), listening(queue=2) as client:
        deliver(client, body_of("reviews", "1"))
        looked.wait_for(1)
        answers = [deliver(client, body_of("reviews", str(i))).json()["status"] for i in (2, 3, 4)]
        assert answers == ["accepted", "accepted", "left"]
        assert deliver(client, body_of("reviews", "3")).json() == {"status": "accepted"}, "it waits already"
        assert counted(client, "calig_listener_queue") == 2
        assert counted(client, 'calig_listener_deliveries_total{answer="left"}') == 1
        looked.free.set()
    assert looked.at == [("reviews", "1"), ("reviews", "2"), ("reviews", "3")], "a stop drains the queue"
    assert "reviews/4: too many wait, left to calig reconcile" in caplog.text


def test_prefect_being_down_is_counted_and_logged_and_nothing_stops(listening, looked: Looked, caplog) -> None:
    looked.error = CouldNotRunError("Prefect could not start a run.", got="connection refused")
    with caplog.at_level(logging.INFO, "calig.listener"), listening() as client:
        assert deliver(client, body_of("reviews", "1")).status_code == 202
        looked.wait_for(1)
        looked.error = None
        assert deliver(client, body_of("reviews", "2")).status_code == 202
        looked.wait_for(2)
        deadline = time.monotonic() + 5
        while 'action="started"' not in client.get("/metrics").text and time.monotonic() < deadline:
            time.sleep(0.01)
        assert counted(client, 'calig_listener_handed_over_total{action="error"}') == 1
        assert counted(client, 'calig_listener_handed_over_total{action="started"}') == 1
    assert "reviews/1: left to calig reconcile: Prefect could not start a run. got: connection refused" in caplog.text


def test_a_stop_does_not_wait_for_ever(listening, looked: Looked) -> None:
    looked.free.clear()
    started = time.monotonic()
    with listening(drain_s=0.2) as client:
        deliver(client, body_of("reviews"))
        looked.wait_for(1)
        threading.Timer(1.0, looked.free.set).start()
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "body",
    [
        body_of("reviews", entity="model_version_tag", action="set", key="calig.state", value="running"),
        body_of("reviews", entity="model_version_tag", action="set", key="calig.verdict", value="pass"),
        body_of("reviews", entity="model_version_alias", action="created", alias="champion"),
        body_of("reviews", entity="registered_model", action="created"),
        body_of("example_model"),
    ],
)
def test_own_tags_aliases_and_tests_start_nothing(listening, looked: Looked, body: bytes) -> None:
    with listening() as client:
        answer = deliver(client, body)
        assert (answer.status_code, answer.json()) == (202, {"status": "ignored"})
    assert looked.at == []


@pytest.mark.parametrize("key", ["calig.dataset", "calig.config", "calig.reference", "calig.retry"])
def test_a_tag_that_says_anew_what_to_explain_with_is_looked_at(listening, looked: Looked, key: str) -> None:
    with listening() as client:
        deliver(client, body_of("reviews", "4", entity="model_version_tag", action="set", key=key, value="../../etc/passwd"))
        looked.wait_for(1)
    assert looked.at == [("reviews", "4")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"entity": "model_version", "action": "created"}',
        b"[" * 30000,
        body_of("reviews", "latest"),
        body_of("", "1"),
        body_of("re\nviews", "1"),
        json.dumps({"entity": 1, "action": [], "data": {}}).encode(),
    ],
)
def test_signed_nonsense_is_malformed(listening, looked: Looked, body: bytes) -> None:
    with listening() as client:
        signed = headers_for(body) if body != b"\xff\xfe" else headers_for_bytes(body)
        answer = client.post(HOOK, content=body, headers=signed)
        assert answer.status_code == 400, answer.text
    assert looked.at == []


def headers_for_bytes(body: bytes) -> dict[str, str]:
    """MLflow only signs text; another sender with the secret might not."""
    import hmac

    headers = headers_for(b"")
    message = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(SECRET.encode(), message, "sha256").digest()).decode()
    return headers | {"X-MLflow-Signature": f"v1,{signature}"}


def test_alive_and_ready_are_different_things(listening) -> None:
    async def well() -> None:
        """All is well."""

    async def down() -> None:
        raise ConnectionError("http://user:password@prefect refused")

    with listening(checks={"prefect": well}) as client:
        assert client.get("/readyz").json() == {"prefect": "ok"}
        assert client.get("/healthz").status_code == 200
        assert client.get(HOOK).status_code == 405
        assert client.get("/docs").json() == {"title": "Not Found", "status": 404, "detail": "not found"}
    with listening(checks={"prefect": down, "mlflow": well}) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"prefect": "ConnectionError", "mlflow": "ok"})
        assert client.get("/healthz").status_code == 200


def test_it_does_not_start_without_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    for name in ("CALIG_WEBHOOK_SECRET", "CALIG_WEBHOOK_SECRET_FILE"):
        monkeypatch.delenv(name, raising=False)
    watch = tmp_path / "watch.yaml"
    watch.write_text("models: [{name: reviews}]\n")
    answer = CliRunner().invoke(commands, ["listen", "--watch", str(watch)])
    assert answer.exit_code == 2
    assert "there is no webhook secret" in answer.output
    assert "token_urlsafe" in answer.output
    monkeypatch.setenv("CALIG_WEBHOOK_SECRET", "short")
    with pytest.raises(InputError, match="too short") as error:
        read_secrets()
    assert "short\n" not in str(error.value).replace("too short\n", "")
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n\nthe-new-secret-of-ours\n")
    monkeypatch.setenv("CALIG_WEBHOOK_SECRET_FILE", str(file))
    assert read_secrets() == (SECRET.encode(), b"the-new-secret-of-ours")


def test_help_teaches() -> None:
    for command in ("listen", "reconcile"):
        answer = CliRunner().invoke(commands, [command, "--help"])
        assert answer.exit_code == 0
        assert "Example:" in answer.output
