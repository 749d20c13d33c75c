"""Web application of the listener: checks a delivery, answers within milliseconds, looks at its version in the background."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from flows.trigger.listener import health, limits
from flows.trigger.listener.deliveries import DeliveryStore
from flows.trigger.listener.events import read_event
from flows.trigger.listener.health import Readiness
from flows.trigger.listener.limits import Refusal
from flows.trigger.listener.queue import Handover
from flows.trigger.listener.signature import check_signature, check_time, read_headers
from schemas.trigger import Step
from schemas.watch import ListenerConfig

_WRITE_EVERY_S = 0.2
_log = logging.getLogger("calig.listener")


class Listener:
    """What one receiver holds while it runs."""

    def __init__(self, config: ListenerConfig, secrets: Sequence[bytes], look_at: Callable[[str, str], Step]) -> None:
        self.config, self._secrets = config, tuple(secrets)
        self._bucket = limits.TokenBucket(config.rate_per_s, config.burst)
        self._seen = DeliveryStore(config.replay_store, config.replay_capacity)
        self.handover = Handover(look_at, size=config.queue)
        self.metrics = health.Metrics(lambda: self.handover.waiting, lambda: len(self._seen))

    async def deliver(self, request: Request) -> str:
        """Check one delivery and queue its version: `accepted`, `duplicate`, `ignored`, or `left` to the reconciler.

        A duplicate is accepted, as MLflow itself repeats a delivery whose answer was lost, and handed over no second time.

        Raises:
            Refusal: it cannot be accepted.
        """
        config = self.config
        self._bucket.take()
        delivery = read_headers(request.headers)
        announced = request.headers.get("content-length")
        body = await limits.read_body(request.stream(), announced, config.body_limit_bytes, config.body_timeout_s)
        check_signature(delivery, body, self._secrets)
        now_s = time.time()
        check_time(delivery, now_s, config.window_s)
        event = read_event(body)
        if event.version is None:
            return "ignored"
        if not self._seen.add(delivery.id, delivery.timestamp + config.window_s, now_s):
            return "duplicate"
        return "accepted" if self.handover.put(event.name, event.version) else "left"

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """Hand over, and remember deliveries on disk, from start to stop; a stop drains the queue first."""
        self.handover.start(self.metrics)
        writer = asyncio.create_task(self._write_now_and_then())
        try:
            yield
        finally:
            await self.handover.drain(self.config.drain_s)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._seen.close(time.time())

    async def _write_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            try:
                await asyncio.to_thread(self._seen.write, time.time())
            except sqlite3.Error as error:
                _log.warning("deliveries are remembered in memory only: %s", error)


def create_app(listener: Listener, readiness: Readiness) -> FastAPI:
    """The web application around `listener`."""
    app = FastAPI(title="calig listen", docs_url=None, redoc_url=None, openapi_url=None, lifespan=listener.running)
    app.add_exception_handler(HTTPException, _plain_problem)

    @app.post("/webhooks/mlflow")
    async def webhook(request: Request) -> Response:
        with listener.metrics.seconds.time():
            try:
                answer = await listener.deliver(request)
            except Refusal as refusal:
                listener.metrics.deliveries.labels(refusal.code).inc()
                return problem(refusal.status, refusal.reason, refusal.headers)
        listener.metrics.deliveries.labels(answer).inc()
        return JSONResponse({"status": answer}, 202)

    @app.get("/healthz")
    async def healthz() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/readyz")
    async def readyz() -> Response:
        found = await readiness.look()
        return JSONResponse(found, 200 if set(found.values()) <= {"ok"} else 503)

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(listener.metrics.text(), media_type=health.CONTENT_TYPE)

    return app


def problem(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    """A short answer as in RFC 9457; nothing of the request is repeated."""
    content = {"title": HTTPStatus(status).phrase, "status": status, "detail": reason}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


async def _plain_problem(_request: Request, error: Any) -> Response:
    """What the framework itself refuses: unknown paths and methods."""
    return problem(error.status_code, HTTPStatus(error.status_code).phrase.lower(), error.headers)
