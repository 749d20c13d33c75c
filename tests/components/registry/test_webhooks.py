"""The webhook in MLflow: one, whatever is done, and deliveries that carry its present secret, from a real server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.common.errors import InputError
from components.registry import ensure_webhook
from components.registry.connection import connect
from tests.helpers.mlflow_server import running_mlflow_server
from tests.helpers.receiver import Receiver, receiving
from tests.helpers.tracking import connected

URL, SECRET = "http://127.0.0.1:9/webhooks/mlflow", "a-secret-of-the-tests"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_mlflow_server(tmp_path_factory.mktemp("webhooks")) as uri, connected(uri):
        yield uri


def test_a_store_without_a_server_never_delivers(tmp_path: Path) -> None:
    with connected(f"sqlite:///{tmp_path}/mlflow.db"), pytest.raises(InputError, match="by an MLflow server only"):
        ensure_webhook(URL, SECRET)


@pytest.mark.parametrize(("url", "secret"), [("listener:8080", SECRET), ("ftp://listener", SECRET), (URL, " ")])
def test_a_bad_address_or_secret_is_refused_without_asking_mlflow(url: str, secret: str) -> None:
    with connected("http://127.0.0.1:9"), pytest.raises(InputError):
        ensure_webhook(url, secret)


@pytest.mark.slow
def test_there_is_one_webhook_and_the_last_word_counts(server: str) -> None:
    client = connect()
    assert ensure_webhook(URL, SECRET) == "created"
    client.create_webhook(name="calig", url="http://127.0.0.1:9/old", events=["model_version.created"])
    client.create_webhook(name="somebody-else", url=URL, events=["model_version.created"])
    assert ensure_webhook(URL + "?now", SECRET) == "updated"
    found = {webhook.name: webhook for webhook in client.list_webhooks()}
    assert sorted(webhook.name for webhook in client.list_webhooks()) == ["calig", "somebody-else"]
    assert found["calig"].url == URL + "?now"
    assert {str(event) for event in found["calig"].events} == {"model_version.created", "model_version_tag.set"}


@pytest.mark.slow
def test_a_new_version_is_told_with_the_present_secret(server: str) -> None:
    client = connect()
    with receiving(202) as receiver:
        ensure_webhook(receiver.url, "an-earlier-secret", name="told")
        ensure_webhook(receiver.url, SECRET, name="told")
        client.create_registered_model("told-about")
        client.create_model_version("told-about", source="s3://nowhere/model")
        _wait_for(receiver)
    headers, body = receiver.got[0]
    event = json.loads(body)
    assert (event["entity"], event["action"], event["data"]["name"]) == ("model_version", "created", "told-about")
    signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["x-mlflow-signature"] == f"v1,{expected}"


def _wait_for(receiver: Receiver) -> None:
    deadline = time.monotonic() + 30
    while not receiver.got and time.monotonic() < deadline:
        time.sleep(0.1)
    assert receiver.got, "nothing was delivered"
