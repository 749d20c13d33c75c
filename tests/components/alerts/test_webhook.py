"""The signed webhook against a real receiver: by the specification's verifier and arithmetic; no secret in any error."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from components.alerts import message_of, post, text_of
from components.alerts.webhook import body_of, signed_headers
from components.common.errors import CaligError, CouldNotRunError, InputError
from schemas.alert import AlertMessage, Channel
from tests.helpers import sample_records
from tests.helpers.receiver import receiving

SECRET = b"k3y-that-nobody-may-see-"
KEY = f"whsec_{base64.b64encode(SECRET).decode()}"
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
    content = Webhook(KEY).verify(body, headers)
    assert headers["webhook-id"] == content["data"]["id"] == message.id
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    signed = f"{message.id}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (content["type"], content["timestamp"]) == ("calig.drift.failed", message.created_at.isoformat())
    content = content["data"]
    assert content["text"] == text_of(message)
    assert AlertMessage.model_validate({k: v for k, v in content.items() if k not in {"text", "subject"}}) == message


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "webhook-signature", "key", "old"])
def test_a_verifier_refuses_what_was_changed(message: AlertMessage, changed: str) -> None:
    body = body_of(message)
    headers = signed_headers(KEY, message.id, body)
    Webhook(KEY).verify(body, headers)
    key = Webhook(KEY if changed != "key" else f"whsec_{base64.b64encode(SECRET[::-1]).decode()}")
    if changed == "old":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 600)
    elif changed == "webhook-signature":
        headers[changed] = "v1," + base64.b64encode(bytes(32)).decode()
    elif changed.startswith("webhook-"):
        headers[changed] = str(int(headers["webhook-timestamp"]) + 1)
    with pytest.raises(WebhookVerificationError):
        key.verify(body.replace(b"fail", b"pass") if changed == "body" else body, headers)


@pytest.mark.parametrize(
    "secret",
    ["plain-text-of-before-that-is-long-enough", "whsec_", "whsec_" + base64.b64encode(bytes(23)).decode(),
     "whsec_" + base64.b64encode(bytes(65)).decode(), "whsec_not!base64" + "A" * 40, base64.b64encode(bytes(32)).decode()],
)  # fmt: skip
def test_a_secret_of_another_form_is_refused_before_anything_is_sent(
    message: AlertMessage, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    with receiving(204) as receiver:
        monkeypatch.setenv("TEST_HOOK_URL", receiver.url)
        monkeypatch.setenv("TEST_HOOK_KEY", secret)
        with pytest.raises(InputError, match=r"(?s)Standard Webhooks.*TEST_HOOK_KEY.*whsec_ and 24") as caught:
            post(message, CHANNEL)
    assert receiver.got == []
    assert secret not in str(caught.value) or secret == "whsec_"  # noqa: S105 - nothing but the prefix


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
        assert KEY.removeprefix("whsec_") not in str(chain)
        assert "s3cret-path" not in str(chain)
        chain = chain.__cause__ or chain.__context__
