"""Secrets are hidden in texts, errors and logs, whatever they look like there; ordinary words are not."""

from __future__ import annotations

import io
import logging

import pytest

from components.errors import InputError
from components.registry.tracking import without_password
from components.secrets import guard_logs, hidden


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


def test_no_log_line_holds_a_secret_not_even_its_traceback():
    guard_logs()
    guard_logs()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("some.library")
    log.addHandler(handler)
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
