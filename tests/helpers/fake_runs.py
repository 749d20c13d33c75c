"""Prefect's side of the trigger in memory: one run per key, whose fate a test decides; injected, nothing is patched."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from components.common.errors import CouldNotRunError
from schemas.trigger import Run, RunState


@dataclass
class FakeRuns:
    """`started` holds the parameters of every run that was really started, by key."""

    started: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    buried: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    down: bool = False
    asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: str) -> Run | None:
        self._check()
        return self.runs.get(key)

    def start(self, key: str, parameters: dict[str, Any]) -> Run:
        self._check()
        with self._lock:
            self.asked += 1
            if key not in self.runs:
                self.started[key] = parameters
                self.runs[key] = Run(id=f"run-{len(self.runs)}", state=RunState.WAITING, last_sign=datetime.now(UTC))
            return self.runs[key]

    def stop(self, run: Run, reason: str) -> None:
        self._check()
        self.stopped.append(reason)
        self.becomes(RunState.RUNNING, stopping=True)

    def bury(self, run: Run, reason: str) -> None:
        self._check()
        self.buried.append(reason)
        self.becomes(RunState.DIED, reason)

    def becomes(
        self, state: RunState, message: str = "", *, ago_s: float = 0.0, idle_s: float = 0.0, stopping: bool = False
    ) -> None:
        """Let the newest run be in this state since so many seconds, with no step taken for `idle_s`."""
        key, now = list(self.runs)[-1], datetime.now(UTC)
        signs = {"last_sign": now - timedelta(seconds=ago_s), "last_step": now - timedelta(seconds=max(ago_s, idle_s))}
        self.runs[key] = self.runs[key].model_copy(update={"state": state, "message": message, "stopping": stopping, **signs})

    def _check(self) -> None:
        if self.down:
            raise CouldNotRunError("Prefect could not start a run.", got="connection refused")
