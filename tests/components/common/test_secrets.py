"""Secrets are hidden in texts, errors and logs, whatever they look like there; ordinary words are not."""

from __future__ import annotations

import io
import logging
import time

import pytest

from components.common.errors import InputError
from components.common.secrets import guard_logs, hidden
from components.registry.addresses import without_password


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    for name, value in {
        "MLFLOW_TRACKING_PASSWORD": "canary-password",
        "CALIG_WEBHOOK_SECRET": "canary-first\ncanary-second",
        "PREFECT_API_KEY": "pnu_canary",
        "CALIG_SIGNING_PASSPHRASE": "canary passphrase",
        "DATABASE_URL": "postgresql://someone:canary%2Fdatabase@db/mlflow",
        "CALIG_WEBHOOK_SECRET_FILE": "/run/secrets/calig",
        "TOKENIZERS_PARALLELISM": "disabled",
        "SHORT_TOKEN": "abc",
        "PREFECT_API_AUTH_STRING": "admin:canary-auth-4711",
        "SMTP_PASS": "canary-smtp",
        "STORAGE_CONNECTION_STRING": "AccountName=someone;AccountKey=canary-account==;Suffix=core",
        "REPORTING_DSN": "canary-dsn-at-host",
        "TEAM_HOOK": "https://chat.example/in/canary-hook-1234567890",
        "XAUTHORITY": "/home/someone/.Xauthority",
        "PWD": "/home/someone",
        "SSH_AUTH_SOCK": "/run/agent",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "text",
    [
        "password canary-password refused",
        "signed by canary-second",
        "key pnu_canary",
        "could not connect to canary/database or canary%2Fdatabase",
        "http://user:canaryX@host/path",
        "https://canaryX@host/path",
        "GET /x?a=1&token=canaryX&b=2",
        "Authorization: Bearer canaryX.canaryY",
        "401 for admin:canary-auth-4711",
        "denied: canary-auth-4711",
        "535 login with canary-smtp",
        "cannot reach AccountKey=canary-account==",
        "the key canary-account== was refused",
        "canary-dsn-at-host is down",
        "POST https://chat.example/in/canary-hook-1234567890 failed",
        "https://hooks.slack.com/services/T0canary/B0canary/canary",
        "https://discord.com/api/webhooks/123456789012345678/canary-1234567890abcdef",
        'body {"password": "canary1", "api_key": "canary2"}',
        "aws_secret_access_key = canary3",
        "X-Api-Key: canary4",
        "https://bucket/x?X-Amz-Security-Token=canary5&sig=canary6",
        "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
        "token: canary-1234567890abcdef",
    ],
)
def test_a_secret_is_hidden(text):
    assert "canary" not in hidden(text)
    assert "***" in hidden(text)
    assert "canary" not in str(InputError("bad", got=text, next_step=text)) + str(InputError(text))


@pytest.mark.parametrize(
    "text",
    [
        "models:/reviews@champion",
        "hub-id/model@0123abc",
        "http://host:5000/path",
        "a basic model, disabled",
        "/run/secrets/calig",
        "abc",
        "https://host/#/experiments/1?o=a@b",
        "special token: [CLS], unexpected tokens: 512",
        "http://listener:8080/webhooks/mlflow",
        "/home/someone/.Xauthority in /home/someone by /run/agent",
        "setting 'attribution.target': the model has no such class",
        "key: value, max_tokens=512 of the tokenizer",
    ],
)
def test_ordinary_texts_stay(text):
    assert hidden(text) == text


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://u:p@host:1/x", "http://host:1/x"),
        ("postgresql://u:p/w@host/db", "postgresql://host/db"),
        ("sqlite:////home/a@b/x.db", "sqlite:////home/a@b/x.db"),
        ("http://host/x", "http://host/x"),
    ],
)
def test_addresses_are_shown_without_password(uri, shown):
    assert without_password(uri) == shown


@pytest.mark.parametrize(
    "text",
    ["AKIAABCDEFGHIJKLMNOP", "ghp_" + "a1" * 18, "hf_" + "b2" * 17, "xoxb-1234567890-abcdef", "eyJhbGciOiJI.eyJzdWIiOiIx.sig"],
)
def test_well_known_formats_are_hidden(text):
    assert hidden(f"refused {text} here") == "refused *** here"


@pytest.mark.parametrize(
    "name",
    ["SMTP_PASS", "PGPASSWORD", "GITHUB_TOKEN", "DB_DSN", "MY_KEY", "SLACK_WEBHOOK_URL", "AZURE_CREDENTIALS", "BASIC_AUTH"],
)
def test_names_are_matched_generously(name, monkeypatch):
    monkeypatch.setenv(name, "canary-of-its-own")
    assert hidden("x canary-of-its-own y") == "x *** y"


@pytest.mark.parametrize(
    "name", ["CALIG_SIGNING_KEY_FILE", "TOKENIZERS_PARALLELISM", "MLFLOW_AUTH_TYPE", "HF_TOKEN_PATH", "KEYBOARD", "COMPASS"]
)
def test_names_of_something_else_hide_nothing(name, monkeypatch):
    monkeypatch.setenv(name, "ordinary-words")
    assert hidden("x ordinary-words y") == "x ordinary-words y"


@pytest.mark.parametrize(
    "text", ["a-" * 200_000, "http://" * 60_000, "password=" * 40_000, "&a" * 200_000, "http://" + "hook" * 90_000]
)
def test_a_huge_text_takes_no_time(text):
    began = time.process_time()
    assert len(hidden(f"{text} canary-password")) < 100_000
    assert "canary" not in hidden(f"{text} canary-password")
    assert time.process_time() - began < 10, "a second on a machine that does nothing else; it was a minute"


def test_a_long_cause_keeps_its_end():
    cause = "HTTPSConnectionPool: Max retries exceeded " + "x" * 1000 + " CERTIFICATE_VERIFY_FAILED: self-signed certificate"
    said = str(InputError("bad", got=cause))
    assert said.startswith("bad\ngot: HTTPSConnectionPool")
    assert "CERTIFICATE_VERIFY_FAILED: self-signed certificate (" in said
    assert len(said) < 400


def test_no_log_line_holds_a_secret_not_even_its_traceback():
    guard_logs()
    guard_logs()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("some.library")
    log.addHandler(handler)
    log.setLevel(logging.WARNING)  # whatever another test left the root logger at
    try:
        log.warning("connecting to %s", "http://user:canaryX@host")
        try:
            raise ValueError("denied for canary-password")
        except ValueError:
            log.exception("it failed")
        log.warning("%d of %d", 1, 2)
    finally:
        log.removeHandler(handler)
    said = stream.getvalue()
    assert "canary" not in said
    assert "ValueError: denied for ***" in said
    assert "1 of 2" in said
