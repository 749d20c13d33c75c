"""The listener: a web application that checks deliveries and answers within milliseconds, and the server that runs it.

A delivery's version is looked at in the background.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import typer
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from components import registry
from components.common.configuration import load_watch
from components.common.errors import CouldNotRunError
from flows.trigger.listener import health, limits
from flows.trigger.listener.deliveries import DeliveryStore, check_signature, check_time, read_event, read_headers
from flows.trigger.listener.health import Readiness
from flows.trigger.listener.limits import Refusal, protocol_of
from flows.trigger.listener.queue import Handover, LookupProcess
from flows.trigger.prefect_runs import check_configured, check_prefect
from schemas.trigger import ListenerConfig, Step, WatchConfig

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


_BACKLOG = 1024


def serve(path: Path, watch: WatchConfig, secrets: tuple[bytes, ...], host: str, port: int, *, debug: bool) -> int:
    """Listen until SIGTERM or SIGINT, then drain the queue; 0.

    Raises:
        InputError: no Prefect server is configured. CouldNotRunError: the address cannot be listened on.
    """
    check_configured()
    looking = LookupProcess(path, debug=debug)
    listener = Listener(watch.listener, secrets, looking)
    app = create_app(listener, _readiness(path, listener))
    _log_to_stderr()
    signal.set_wakeup_fd(-1)  # a stop takes as long as draining the queue does: nobody keeps its time
    with _bound(host, port) as bound:
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, lambda *_: None)  # uvicorn stops gracefully, then raises the signal again: that is all there is
        typer.echo(f"listening on http://{_shown(host)}:{bound.getsockname()[1]}", err=True)
        limits = watch.listener
        config = uvicorn.Config(
            app,
            http=protocol_of(limits.connections, limits.head_timeout_s + limits.body_timeout_s),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
        )
        looking.start()
        uvicorn.Server(config).run(sockets=[bound])
    looking.stop()
    return 0


def _readiness(path: Path, listener: Listener) -> Readiness:
    async def prefect() -> None:
        await check_prefect()

    async def mlflow() -> None:
        await asyncio.to_thread(registry.check_reachable)

    async def watch_file() -> None:
        await asyncio.to_thread(load_watch, path)

    async def queue() -> None:
        if listener.handover.waiting >= listener.config.queue:
            raise CouldNotRunError("the queue is full")

    return Readiness({"prefect": prefect, "mlflow": mlflow, "watch_file": watch_file, "queue": queue})


def _bound(host: str, port: int) -> socket.socket:
    """Bound, with what asyncio sets on its own sockets alone: else an answer waits 40 ms for its head's acknowledgement."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server
    except OSError as error:
        raise CouldNotRunError(
            "the address cannot be listened on", got=f"{host} port {port}: {error.strerror}", next_step="choose --host and --port"
        ) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _log_to_stderr() -> None:
    """One line per version on standard error, whatever the libraries' logs are set to."""
    log = logging.getLogger("calig.listener")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
