"""One `calig explain` with a clock on its stages, in its own process: `python -m tests.benchmarks.release_run CLOCK.json …`."""

from __future__ import annotations

import atexit
import json
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import process_time, time
from typing import Any

import psutil

#: Stages by the step of `flows.explain_release` that they are; what no step covers is "start-up" before attribution and "other"
#: after it.
STEPS = {
    "resolve": "reading",
    "check_preconditions": "reading",
    "announce": "estimate",
    "attribute": "attribution",
    "judge.falsify": "falsification",
    "judge.measure_quality": "quality",
    "judge.compare": "drift",
    "probe.probe_vocabulary": "probe",
    "make_record": "record",
    "write_results": "report",
    "_publish": "logging",
}
STAGES = ("start-up", *dict.fromkeys(STEPS.values()), "other")


class StageClock:
    """Wall-clock and processor seconds of this process by stage; a stage inside another is not counted twice.

    Counting begins with the process, not with this object: the interpreter and first imports are part of the start.
    """

    def __init__(self) -> None:
        self._began = psutil.Process().create_time()
        self._stack = ["start-up"]
        self._last = (self._began, 0.0)
        self.seconds = {stage: [0.0, 0.0] for stage in STAGES}
        self.first_row: tuple[float, float] | None = None

    def turn(self, change: Callable[[], object]) -> None:
        """Give the time since the last turn to the stage that was on, then change stages."""
        now = (time(), process_time())
        for place, (new, old) in enumerate(zip(now, self._last, strict=True)):
            self.seconds[self._stack[-1]][place] += new - old
        self._last = now
        change()

    def of(self, stage: str, step: Callable[..., Any]) -> Callable[..., Any]:
        """`step`, timed as `stage`."""

        @wraps(step)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._stack == ["start-up"] and stage == "attribution":
                self.turn(lambda: self._stack.__setitem__(0, "other"))
            self.turn(lambda: self._stack.append(stage))
            try:
                return step(*args, **kwargs)
            finally:
                self.turn(self._stack.pop)

        return timed

    def note_first_row(self) -> None:
        """The first row goes to the engine now, for the table and not for an estimate."""
        if self.first_row is None and self._stack[-1] == "attribution":
            self.first_row = (time() - self._began, process_time())

    def write(self, path: Path) -> None:
        """JSON, once the local Prefect server, the only child, has ended."""
        self.turn(lambda: None)
        server = sum(getrusage(RUSAGE_CHILDREN)[:2])
        named = {stage: dict(zip(("seconds", "cpu_seconds"), both, strict=True)) for stage, both in self.seconds.items()}
        first = dict(zip(("seconds", "cpu_seconds"), self.first_row or (), strict=False))
        path.write_text(json.dumps({"stages": named, "until_first_row": first, "server_cpu_seconds": server}), encoding="utf-8")


def put_clock(clock: StageClock) -> None:
    """Time the steps of `flows.explain_release` where its flow finds them, and the engine's first row."""
    flow = import_module("flows.explain_release")
    for name, stage in STEPS.items():
        *inside, function = name.split(".")
        holder = getattr(flow, inside[0]) if inside else flow
        setattr(holder, function, clock.of(stage, getattr(holder, function)))
    running = import_module("components.attribution.running")
    original = running.attribute_documents

    @wraps(original)
    def attribute_documents(*args: Any, **kwargs: Any) -> Any:
        clock.note_first_row()
        return original(*args, **kwargs)

    running.attribute_documents = attribute_documents  # type: ignore[attr-defined]


def main(report: Path, arguments: list[str]) -> None:
    """Run the command line; the clock is put in once the flow's libraries are there, as late as the command itself loads them."""
    clock = StageClock()
    server = import_module("flows.common.prefect_server")
    wait = server.await_server

    def await_server(*args: Any) -> None:
        wait(*args)
        put_clock(clock)

    server.await_server = await_server  # type: ignore[attr-defined]
    atexit.register(clock.write, report)  # the server's own end is registered later, so it comes before this
    from flows.cli.entry import main as run

    run(arguments)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
