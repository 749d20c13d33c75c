"""Deliveries as MLflow makes them: the messages, and their signature over `id.timestamp.body`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.request import Request
from uuid import uuid4

from tests.benchmarks.faults.versions import Version


def created(version: Version) -> dict[str, Any]:
    """MLflow's message that a version was created."""
    data = {
        "name": version.model,
        "version": version.number,
        "source": "models:/m",
        "run_id": None,
        "tags": {},
        "description": None,
    }
    return _message("model_version", "created", data)


def tag_set(version: Version) -> dict[str, Any]:
    """MLflow's message that a tag was set on it."""
    return _message(
        "model_version_tag", "set", {"name": version.model, "version": version.number, "key": "calig.retry", "value": ""}
    )


def _message(entity: str, action: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "entity": entity,
        "action": action,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
        "data": data,
    }


def signed(secret: str, content: dict[str, Any] | bytes, *, at: int | None = None, delivery: str | None = None) -> Request:
    """The delivery as MLflow makes it, without an address."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    identity, timestamp = delivery or str(uuid4()), str(int(time.time()) if at is None else at)
    digest = hmac.new(secret.encode(), f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": identity,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }
    return Request("http://unknown", data=body, headers=headers, method="POST")
