"""Bounded queue from deliveries to Prefect, emptied one by one and drained at a stop, and the process that looks at versions.

That is one of its own, so that MLflow's and Prefect's clients keep no delivery waiting.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import Any

from flows.trigger.listener.health import Metrics
from schemas.trigger import Action, Step

Key = tuple[str, str]
_log = logging.getLogger("calig.listener")


class Handover:
    """Looks at versions in the background; what fails or does not fit in is left to `calig reconcile`."""

    def __init__(self, look_at: Callable[[str, str], Step], *, size: int) -> None:
        self._look_at = look_at
        self._queue: asyncio.Queue[Key] = asyncio.Queue(maxsize=size)
        self._waiting: set[Key] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Versions that wait."""
        return self._queue.qsize()

    def put(self, name: str, version: str) -> bool:
        """Let a version be looked at; False when too many wait. One that waits already is looked at once."""
        key = (name, version)
        if key in self._waiting:
            return True
        try:
            self._queue.put_nowait(key)
        except asyncio.QueueFull:
            _log.warning("%s/%s: too many wait, left to calig reconcile", name, version)
            return False
        self._waiting.add(key)
        return True

    def start(self, metrics: Metrics) -> None:
        """Begin to empty the queue."""
        self._task = asyncio.create_task(self._work(metrics))

    async def drain(self, seconds: float) -> None:
        """Empty the queue, for at most so many seconds; then stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            _log.warning("stopped with %d versions waiting, left to calig reconcile", len(self._waiting))
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self, metrics: Metrics) -> None:
        while True:
            key = await self._queue.get()
            self._waiting.discard(key)  # from here on a new delivery is a new reason to look
            try:
                metrics.handed_over.labels(await self._hand_over(*key)).inc()
            finally:
                self._queue.task_done()

    async def _hand_over(self, name: str, version: str) -> str:
        try:
            step = await asyncio.to_thread(self._look_at, name, version)
        except Exception as error:  # whatever it was, the reconciler will find the version; the listener goes on
            step = Step.failed(name, version, error)
        if step.action is Action.ERROR:
            _log.warning("%s/%s: left to calig reconcile: %s", name, version, step.detail)
            return step.action.value
        if step.action is not Action.NOT_WATCHED:
            _log.info("%s/%s: %s%s", name, version, step.action, f": {step.detail}" if step.detail else "")
        return step.action.value


_NICENESS = 5


class LookupProcess:
    """`look_at` behind a process boundary; a process that died is replaced, and its version left to the reconciler."""

    def __init__(self, path: Path, *, debug: bool) -> None:
        self._path, self._debug = path, debug
        self._pool = self._new_pool()

    def start(self) -> None:
        """Begin to load the libraries, and do not wait for it."""
        self._pool.submit(_load)

    def __call__(self, name: str, version: str) -> Step:
        """Look at one version as it is now; trouble of any kind is a step too."""
        try:
            return self._pool.submit(_look, self._path, name, version).result()
        except BrokenProcessPool as error:
            self._pool = self._new_pool()
            return Step.failed(name, version, error)

    def stop(self) -> None:
        """End the process when it has done what it was given."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        spawned = multiprocessing.get_context("spawn")  # a fork would inherit the listener's sockets and locks
        return ProcessPoolExecutor(1, mp_context=spawned, initializer=_begin, initargs=(self._debug,))


def _begin(debug: bool) -> None:
    """Leave signals to the listener, whose child this is, do not outlive it, and let it go first."""
    from flows.common.process import DEFAULT_OUTPUT, prepare

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    os.nice(_NICENESS)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    prepare(debug=debug, tracking_uri=None, output=DEFAULT_OUTPUT, offline=True)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


def _load() -> None:
    """Import what the first version would otherwise wait for."""
    from components import registry
    from flows import reconcile  # noqa: F401 - for the import alone

    registry.load_mlflow()


def _look(path: Path, name: str, version: str) -> Step:
    from flows.reconcile import look_at
    from flows.trigger.prefect_runs import PrefectRuns

    try:
        watch = _watch(path, path.stat().st_mtime_ns)
        return look_at(name, version, watch, PrefectRuns(watch.deployment))
    except Exception as error:  # said, counted, and left to the reconciler
        return Step.failed(name, version, error)


@lru_cache(maxsize=1)
def _watch(path: Path, _changed_ns: int) -> Any:
    """The watch file as it is now: it may change while the listener runs."""
    from components.common.configuration import load_watch

    return load_watch(path)
