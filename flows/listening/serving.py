"""Run the listener: bind, say where, serve until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from functools import lru_cache
from pathlib import Path

import typer
import uvicorn

from components import registry
from components.configuration import load_watch
from components.errors import CouldNotRunError
from flows.listener import Listener, create_app
from flows.listening.readiness import Readiness
from flows.prefect_runs import PrefectRuns, check_prefect
from flows.reconcile import look_at
from schemas.trigger import Step
from schemas.watch import WatchConfig

_CONNECTIONS = 500
_BACKLOG = 1024
#: Threads that hand over must not keep the event loop waiting: give it the interpreter back after a millisecond.
_SWITCH_S = 0.001


def serve(path: Path, watch: WatchConfig, secrets: tuple[bytes, ...], host: str, port: int) -> int:
    """Listen until SIGTERM or SIGINT, then drain the queue; 0.

    Raises:
        InputError: no Prefect server is configured. CouldNotRunError: the address cannot be listened on.
    """
    runs = PrefectRuns(watch.deployment)
    listener = Listener(watch.listener, secrets, lambda name, version: _look(path, name, version, runs), watch.submissions)
    app = create_app(listener, _readiness(path, listener))
    _log_to_stderr()
    sys.setswitchinterval(_SWITCH_S)
    with _bound(host, port) as bound:
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, lambda *_: None)  # uvicorn stops gracefully, then raises the signal again: that is all there is
        typer.echo(f"listening on http://{_shown(host)}:{bound.getsockname()[1]}", err=True)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, limit_concurrency=_CONNECTIONS, timeout_keep_alive=30
        )
        uvicorn.Server(config).run(sockets=[bound])
    return 0


def _look(path: Path, name: str, version: str, runs: PrefectRuns) -> Step:
    return look_at(name, version, _watch(path, path.stat().st_mtime_ns), runs)


@lru_cache(maxsize=1)
def _watch(path: Path, _changed_ns: int) -> WatchConfig:
    """The watch file as it is now: it may change while the listener runs."""
    return load_watch(path)


def _readiness(path: Path, listener: Listener) -> Readiness:
    async def prefect() -> None:
        await check_prefect()

    async def mlflow() -> None:
        await asyncio.to_thread(registry.check_reachable, None)

    async def watch_file() -> None:
        await asyncio.to_thread(load_watch, path)

    async def queue() -> None:
        if listener.handover.waiting >= listener.config.queue:
            raise CouldNotRunError("the queue is full")

    return Readiness({"prefect": prefect, "mlflow": mlflow, "watch_file": watch_file, "queue": queue})


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
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
