"""Runs the listener: binds the address, prints it, and serves until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from pathlib import Path

import typer
import uvicorn

from components import registry
from components.common.configuration import load_watch
from components.common.errors import CouldNotRunError
from flows.trigger.listener.app import Listener, create_app
from flows.trigger.listener.connections import protocol_of
from flows.trigger.listener.health import Readiness
from flows.trigger.listener.lookups import LookupProcess
from flows.trigger.prefect_runs import check_configured, check_prefect
from schemas.watch import WatchConfig

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
