"""Progress of a run: a live bar on a terminal, plain lines elsewhere. Tasks report to the current reporter."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from components.common.plain_text import printable
from flows.common import run_limits

#: Without a terminal, a stage says how far it is at most this often.
_LINE_EVERY_S = 10.0


class Reporter(Protocol):
    """Something that shows a run's progress."""

    def say(self, text: str) -> None:
        """Show one line."""

    def stage(self, name: str, total: int | None) -> Callable[[int], None]:
        """Begin a stage of `total` steps (None: unknown); call the result with the number of steps just done."""

    def close(self) -> None:
        """End the display."""


class LineReporter:
    """Plain lines on standard error: for logs, pipes and workers."""

    def say(self, text: str) -> None:
        """Print one line."""
        print(printable(text), file=sys.stderr, flush=True)  # noqa: T201 - this is the display

    def stage(self, name: str, total: int | None) -> Callable[[int], None]:
        """Announce the stage, then its progress every few seconds."""
        self.say(f"· {name}")
        done, last = 0, time.monotonic()

        def advance(steps: int) -> None:
            nonlocal done, last
            done += steps
            if total and time.monotonic() - last >= _LINE_EVERY_S:
                last = time.monotonic()
                self.say(f"  {name}: {done}/{total}")

        return advance

    def close(self) -> None:
        """Nothing to end."""


class BarReporter:
    """A live bar per stage on a terminal."""

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        from flows.cli.output import Terminal

        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Terminal(stderr=True),
        )
        self._progress.start()
        self._last: int | None = None

    def say(self, text: str) -> None:
        """Print one line above the bars."""
        self._progress.console.print(printable(text), highlight=False, markup=False)

    def stage(self, name: str, total: int | None) -> Callable[[int], None]:
        """Finish the stage before and begin a bar for this one."""
        self._finish()
        task = self._progress.add_task(printable(name), total=total)
        self._last = int(task)
        return lambda steps: self._progress.update(task, advance=steps)

    def close(self) -> None:
        """Finish the last stage and leave the bars as they are."""
        self._finish()
        self._progress.stop()

    def _finish(self) -> None:
        if self._last is not None:
            task = next(t for t in self._progress.tasks if t.id == self._last)
            total = task.total or max(1, int(task.completed))
            self._progress.update(task.id, total=total, completed=total)
            self._progress.stop_task(task.id)


_current: Reporter = LineReporter()


def current() -> Reporter:
    """The reporter of this process."""
    return _current


@contextmanager
def reporting(*, quiet: bool = False) -> Iterator[Reporter]:
    """Report to the terminal while inside, with bars when it is one; `quiet` always gives plain lines."""
    global _current  # noqa: PLW0603 - tasks run in threads of this process and have no other way to find it
    before = _current
    _current = LineReporter() if quiet or not sys.stderr.isatty() else BarReporter()
    try:
        yield _current
    finally:
        _current.close()
        _current = before


_advance: Callable[[int], None] = lambda _: None  # noqa: E731


def begin(name: str, total: int | None) -> None:
    """Begin a stage on the current reporter; its steps are where a run that reached a limit ends."""
    global _advance  # noqa: PLW0603 - see `reporting`
    show = _current.stage(name, total)

    def advance(steps: int) -> None:
        run_limits.check()
        show(steps)

    run_limits.check()
    _advance = advance


def advance_current() -> Callable[[int], None]:
    """What a task calls with the number of steps it has just done of the current stage."""
    return _advance
