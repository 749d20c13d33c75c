"""Health of the listener: Prometheus counters and readiness checks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The counters of one listener, in a registry of its own."""

    def __init__(self, waiting: Callable[[], int], remembered: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "calig_listener_deliveries",
            "Deliveries by answer: accepted, duplicate, ignored, left (queue full), or why refused.",
            ["answer"],
            registry=self._registry,
        )
        self.handed_over = Counter(
            "calig_listener_handed_over",
            "Versions looked at, by what was done; error: left to calig reconcile.",
            ["action"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "calig_listener_answer_seconds",
            "Time from a delivery's headers to its answer.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._gauge("calig_listener_queue", "Versions that wait to be handed over.", waiting)
        self._gauge("calig_listener_remembered_deliveries", "Deliveries remembered against replay.", remembered)

    def text(self) -> bytes:
        """All counters in Prometheus' text form."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, meaning: str, value: Callable[[], int]) -> None:
        Gauge(name, meaning, registry=self._registry).set_function(lambda: float(value()))


_KEPT_S = 5.0
_TIMEOUT_S = 5.0

Check = Callable[[], Awaitable[None]]


class Readiness:
    """Runs checks that raise when something is wrong; an answer is kept a few seconds, so that probes cost nothing."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks, self._lock = checks, asyncio.Lock()
        self._at_s, self._found = float("-inf"), dict[str, str]()

    async def look(self) -> dict[str, str]:
        """Per check `ok`, or the kind of its trouble."""
        async with self._lock:
            if time.monotonic() - self._at_s > _KEPT_S:
                answers = await asyncio.gather(*(_answer(check) for check in self._checks.values()))
                self._found = dict(zip(self._checks, answers, strict=True))
                self._at_s = time.monotonic()
            return self._found


async def _answer(check: Check) -> str:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await check()
    except Exception as error:  # a probe tells what is wrong, never where: addresses may hold passwords
        return type(error).__name__
    return "ok"
