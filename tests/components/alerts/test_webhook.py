"""The signed webhook against a real receiver: signature by its own arithmetic, refusals, and no secret in any error."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

from components.alerts import message_of, post, text_of
from components.common.errors import CaligError, CouldNotRunError, InputError
from schemas.alert import AlertMessage, Channel
from tests.helpers import sample_records
from tests.helpers.receiver import receiving

KEY = "k3y-that-nobody-may-see"
CHANNEL = Channel(kind="webhook", url_env="TEST_HOOK_URL", secret_env="TEST_HOOK_KEY")  # noqa: S106 - a variable's name


@pytest.fixture
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlertMessage:
    monkeypatch.setenv("TEST_HOOK_KEY", KEY)
    return message_of(sample_records.drifted(tmp_path).record, link="http://mlflow.example/run")


def test_the_receiver_can_verify_what_it_got(message: AlertMessage, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(204) as receiver:
        monkeypatch.setenv("TEST_HOOK_URL", receiver.url)
        post(message, CHANNEL)
    ((headers, body),) = receiver.got
    timestamp = headers["x-calig-timestamp"]
    assert abs(time.time() - int(timestamp)) < 60
    expected = hmac.new(KEY.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["x-calig-signature"] == f"v1={expected}"
    content = json.loads(body)
    assert headers["x-calig-alert"] == content["id"] == message.id
    assert content["text"] == text_of(message)
    assert AlertMessage.model_validate({k: v for k, v in content.items() if k not in {"text", "subject"}}) == message


@pytest.mark.parametrize(("answer", "said"), [(500, "it answered 500"), (302, "it answered 302"), (404, "it answered 404")])
def test_what_is_not_taken_is_an_error_without_the_address(
    message: AlertMessage, monkeypatch: pytest.MonkeyPatch, answer: int, said: str
) -> None:
    with receiving(answer) as receiver:
        monkeypatch.setenv("TEST_HOOK_URL", receiver.url)
        with pytest.raises(CouldNotRunError, match=said) as caught:
            post(message, CHANNEL)
    assert len(receiver.got) == 1, "a redirect is not followed"
    _tells_nothing(caught.value)


def test_a_receiver_that_is_not_there(message: AlertMessage, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        pass
    monkeypatch.setenv("TEST_HOOK_URL", receiver.url)
    with pytest.raises(CouldNotRunError, match="ConnectionRefusedError") as caught:
        post(message, CHANNEL)
    _tells_nothing(caught.value)


@pytest.mark.parametrize("url", ["", "ftp://127.0.0.1/s3cret-path", "file:///etc/s3cret-path", "127.0.0.1/s3cret-path"])
def test_an_address_that_is_none(message: AlertMessage, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TEST_HOOK_URL", url)
    with pytest.raises(InputError, match="TEST_HOOK_URL") as caught:
        post(message, CHANNEL)
    _tells_nothing(caught.value)


def test_a_missing_key_is_named_by_its_variable(message: AlertMessage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_HOOK_URL", "http://127.0.0.1:1/x")
    monkeypatch.delenv("TEST_HOOK_KEY")
    with pytest.raises(InputError, match="TEST_HOOK_KEY is not set"):
        post(message, CHANNEL)


def _tells_nothing(error: CaligError) -> None:
    chain: BaseException | None = error
    while chain is not None:
        assert KEY not in str(chain)
        assert "s3cret-path" not in str(chain)
        chain = chain.__cause__ or chain.__context__
