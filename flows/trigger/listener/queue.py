"""Bounded queue from deliveries to Prefect: emptied one by one, drained at a stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

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
            step = Step(model=name, version=version, action=Action.ERROR, detail=" ".join(str(error).split()))
        if step.action is Action.ERROR:
            _log.warning("%s/%s: left to calig reconcile: %s", name, version, step.detail)
            return step.action.value
        if step.action is not Action.NOT_WATCHED:
            _log.info("%s/%s: %s%s", name, version, step.action, f": {step.detail}" if step.detail else "")
        return step.action.value
