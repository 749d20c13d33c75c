"""The error tree. Every error says what was wrong, what was got, what is allowed, and what to do next.

CaligError
├── InputError          the user can mend it: bad model, data set, config           (exit 2)
└── CouldNotRunError    the surroundings failed: tracking server, disk, memory      (exit 4)
    └── PublishError    everything was computed and is on disk, only publishing failed
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from calig.errors import AttributionError
from components.secrets import hidden

_MAX_GOT = 300


class CaligError(Exception):
    """An error a user reads: `problem`, then what was got, what is allowed and the next step, each optional; never a secret."""

    exit_code = 4

    def __init__(self, problem: str, *, got: object = None, allowed: str | None = None, next_step: str | None = None) -> None:
        problem, next_step = hidden(problem), None if next_step is None else hidden(next_step)
        lines = [problem]
        if got is not None:
            lines.append(f"got: {_shorten(hidden(str(got)))}")
        if allowed is not None:
            lines.append(f"allowed: {allowed}")
        if next_step is not None:
            lines.append(f"next: {next_step}")
        super().__init__("\n".join(lines))
        self.problem, self.next_step = problem, next_step


class InputError(CaligError):
    """Something the user gave cannot be used."""

    exit_code = 2


class CouldNotRunError(CaligError):
    """The input was fine, but the run could not be done."""


class PublishError(CouldNotRunError):
    """The evidence is complete on disk but did not reach the tracking server."""


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_GOT else f"{text[:_MAX_GOT]}… ({len(text)} characters)"


@contextmanager
def engine_errors() -> Iterator[None]:
    """What the engine refuses is the user's to mend: its errors, whose messages have the same form, become InputErrors."""
    try:
        yield
    except AttributionError as error:
        raise InputError(str(error)) from error
