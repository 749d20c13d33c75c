"""What the listener counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

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
