"""Limits of a run, and which of its failures are worth a retry: at a limit it ends with an error and keeps its finished shards.

A thread looks every half second. At a limit it interrupts the main thread, and every task at its next batch; a run that has not
ended some seconds later, because it is in native code, is ended.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from components.common.errors import CouldNotRunError
from components.common.memory import resident_bytes
from flows.common.process import end_process
from schemas.config import ExecutionConfig

_LOOK_EVERY_S = 0.5
_GRACE_S = 10.0
_GB = 1e9
_NEXT = "finished shards are kept: raise the limit, or make the run smaller, and start the same command again"


class LimitError(CouldNotRunError):
    """The run reached a limit; trying again at once reaches it again."""


_reached: LimitError | None = None


def check() -> None:
    """Raise LimitError when this process's run has reached a limit; tasks call it between batches."""
    if _reached is not None:
        raise _reached


@contextmanager
def within_limits(execution: ExecutionConfig) -> Iterator[None]:
    """While inside, hold the run to `execution.hours` and `execution.memory_gigabytes`.

    Raises:
        LimitError: a limit was reached.
    """
    global _reached  # noqa: PLW0603 - tasks run in threads and have no other way to find it
    if execution.hours is None and execution.memory_gigabytes is None:
        yield
        return
    ended = threading.Event()
    main = threading.get_ident() if threading.current_thread() is threading.main_thread() else None
    before = signal.signal(signal.SIGALRM, _interrupt) if main is not None else None
    watch = threading.Thread(target=_watch, args=(execution, ended, main), name="calig-limits", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()
        _reached = None
        if main is not None:
            signal.signal(signal.SIGALRM, before)


def _watch(execution: ExecutionConfig, ended: threading.Event, main: int | None) -> None:
    global _reached  # noqa: PLW0603 - see `within_limits`
    began = time.monotonic()
    while not ended.wait(_LOOK_EVERY_S):
        _reached = _exceeded(execution, time.monotonic() - began)
        if _reached is not None:
            break
    else:
        return
    if main is not None:
        signal.pthread_kill(main, signal.SIGALRM)
    if not ended.wait(_GRACE_S):
        _end(str(_reached))


def _exceeded(execution: ExecutionConfig, seconds: float) -> LimitError | None:
    if execution.hours is not None and seconds > 3600 * execution.hours:
        return LimitError("The run takes longer than it may.", allowed=f"execution.hours: {execution.hours:g}", next_step=_NEXT)
    limit_gb = execution.memory_gigabytes
    if limit_gb is not None and (held := resident_bytes()) > limit_gb * _GB:
        return LimitError(
            "The run needs more memory than it may.",
            got=f"{held / _GB:.1f} GB, with its worker processes",
            allowed=f"execution.memory_gigabytes: {limit_gb:g}",
            next_step=_NEXT,
        )
    return None


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    check()


def _end(message: str) -> NoReturn:
    with suppress(OSError):
        os.write(2, f"error: {message}\n".encode())
    end_process(CouldNotRunError.exit_code)


#: Of the operating system's errors, those that say the same again.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
#: A GPU that others use too has memory again after a while. By name: torch is not imported for this.
_PASSING = {"OutOfMemoryError", "AcceleratorError"}


def is_transient(error: object) -> bool:
    """Whether the failure was of the surroundings and may pass: bad input, a broken file and a fault of the program cannot."""
    if isinstance(error, LimitError):
        return False
    if isinstance(error, OSError):
        return not isinstance(error, _FINAL)
    return isinstance(error, CouldNotRunError | MemoryError) or type(error).__name__ in _PASSING


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    return is_transient(state.result(raise_on_failure=False))


RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [1, 5], "retry_condition_fn": _worth_retrying}
