"""The error tree. Every error says what was wrong, what was got, what is allowed, and what to do next.

CaligError
├── InputError          the user can mend it: bad model, data set, config           (exit 2)
└── CouldNotRunError    the surroundings failed: tracking server, disk, memory      (exit 4)
    └── PublishError    everything was computed and is on disk, only publishing failed
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from calig.errors import AttributionError
from calig.installation import PIPELINE_STEP, InstallationError, check_folder
from components.common.secrets import hidden

_MAX_GOT = 300
_PATH_REFUSED = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


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


def from_system(error: OSError) -> Exception:
    """What the operating system refuses because of a path that the user gave, or for want of space, as an error of ours."""
    said = f"{error.strerror}: {shortened(str(error.filename), _MAX_GOT)}"
    if error.errno in _PATH_REFUSED and error.filename is not None:
        refused = InputError("A file or folder cannot be used.", got=said, next_step="check the path and its permissions")
        return refused.with_traceback(error.__traceback__)
    if error.errno in _NO_SPACE:
        full = CouldNotRunError("The disk is full.", got=said, next_step="make room, for instance by calig clean; run again")
        return full.with_traceback(error.__traceback__)
    return error


def from_missing(error: ModuleNotFoundError) -> Exception:
    """A library that is not installed, as an error of ours; a module that is missing in an installed one stays what it is."""
    library = (error.name or "").partition(".")[0]
    if not library or find_spec(library) is not None:
        return error
    return InputError(f"The library {library} is not installed.", next_step=PIPELINE_STEP).with_traceback(error.__traceback__)


def require_free_of_intruders(folder: Path) -> None:
    """Refuse a working directory of flows that has packages of the names of calig's."""
    try:
        check_folder(folder)
    except InstallationError as error:
        problem, _, _ = str(error).partition("\n")
        raise InputError(problem, next_step="set CALIG_HOME to a folder for the runs, without such folders in it") from error


def shortened(text: str, limit: int) -> str:
    """`text` within `limit` characters: its beginning and, since the cause of an error stands last, more of its end."""
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head]} … {text[-(limit - head - 3) :]}"


def _shorten(text: str) -> str:
    more = f" ({len(text)} characters)" if len(text) > _MAX_GOT else ""
    return shortened(text, _MAX_GOT) + more


@contextmanager
def engine_errors() -> Iterator[None]:
    """What the engine refuses is the user's to mend: its errors, whose messages have the same form, become InputErrors.

    So does a panic of a library written in Rust, as when the regular expression of a tokenizer gives up: it is no Exception, no
    handler for errors would see it, and the same input ends the same way again.
    """
    try:
        yield
    except AttributionError as error:
        raise InputError(str(error)) from error
    except BaseException as error:
        if not is_panic(error):
            raise
        raise InputError(
            "A library gave up on this model or text (a panic in native code).",
            got=error,
            next_step="look at the tokenizer's own expressions in tokenizer.json, or leave the row out",
        ) from error


def is_panic(error: BaseException) -> bool:
    """Whether native code of a Python extension written in Rust panicked."""
    return type(error).__name__ == "PanicException"
