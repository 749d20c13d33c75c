"""The webhook by which an MLflow server tells the listener about new versions: registered once, kept as it should be."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from components.common.errors import InputError
from components.registry.connection import connect, server, tracking_errors

WEBHOOK_NAME = "calig"
#: A new version, and a tag that says what to explain one with; the listener leaves all other tags alone, calig's own too.
WEBHOOK_EVENTS = ("model_version.created", "model_version_tag.set")


def ensure_webhook(url: str, secret: str, *, name: str = WEBHOOK_NAME) -> str:
    """Have exactly one active webhook called `name` that sends `WEBHOOK_EVENTS` to `url`, signed with `secret`.

    MLflow never gives a secret back, so an existing webhook is always written again: that is also how a secret is changed.

    Returns:
        "created" or "updated".

    Raises:
        InputError: no http address, an empty secret, or a tracking store without a server, which never delivers.
        CouldNotRunError: when MLflow fails or refuses the address.
    """
    _check(url, secret)
    _check_server()
    client = connect()
    wanted = {"name": name, "url": url, "events": list(WEBHOOK_EVENTS), "secret": secret, "status": "ACTIVE"}
    with tracking_errors(f"register the webhook {name!r}"):
        existing = [webhook for webhook in _all_webhooks(client) if webhook.name == name]
        if not existing:
            client.create_webhook(**wanted)
            return "created"
        client.update_webhook(existing[0].webhook_id, **wanted)
        for surplus in existing[1:]:  # two setups at the same moment: each delivery would come twice
            client.delete_webhook(surplus.webhook_id)
        return "updated"


def _check(url: str, secret: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(
            "The webhook's address is no http or https address.", got=url, allowed="http://HOST:PORT/webhooks/mlflow"
        )
    if not secret.strip():
        raise InputError("The webhook's secret is empty.", next_step="set CALIG_WEBHOOK_SECRET or CALIG_WEBHOOK_SECRET_FILE")


def _check_server() -> None:
    if urlsplit(server()).scheme not in {"http", "https"}:
        raise InputError(
            "Webhooks are delivered by an MLflow server only.",
            allowed="http://… or https://… as tracking URI",
            next_step="start `mlflow server` on this store and name it, or leave the webhook out: the reconciler does its work",
        )


def _all_webhooks(client: Any) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.list_webhooks(page_token=token)
        found += page
        token = page.token
        if not token:
            return found
