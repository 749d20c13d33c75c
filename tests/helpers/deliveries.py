"""Deliveries as MLflow's server makes them, signed by MLflow's own code: an oracle outside of ours."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from mlflow.webhooks.delivery import _generate_hmac_signature

SECRET = "a-secret-for-tests-only"  # noqa: S105


def body_of(name: str, version: str = "1", *, entity: str = "model_version", action: str = "created", **data: Any) -> bytes:
    content = {"entity": entity, "action": action, "timestamp": "2026-01-01T00:00:00+00:00"}
    return json.dumps({**content, "data": {"name": name, "version": version, **data}}).encode()


def headers_for(body: bytes, *, secret: str = SECRET, delivery: str | None = None, at_s: float | None = None) -> dict[str, str]:
    """MLflow's headers for this body."""
    delivery, timestamp = delivery or str(uuid.uuid4()), str(int(time.time() if at_s is None else at_s))
    return {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": _generate_hmac_signature(secret, delivery, timestamp, body.decode()),
    }
