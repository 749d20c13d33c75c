"""Which failures of a task are tried again: those that may pass by themselves, and no others."""

from __future__ import annotations

from typing import Any

from components.errors import CouldNotRunError
from flows.run_limits import LimitError

#: Of the operating system's errors, those that say the same again.
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
#: A GPU that others use too has memory again after a while. By name: torch is not imported for this.
_PASSING = {"OutOfMemoryError", "AcceleratorError"}


def may_pass(error: object) -> bool:
    """Whether the surroundings failed, which can get well: bad input, a broken file and a fault of the program cannot."""
    if isinstance(error, LimitError):
        return False
    if isinstance(error, OSError):
        return not isinstance(error, _FINAL)
    return isinstance(error, CouldNotRunError | MemoryError) or type(error).__name__ in _PASSING


def _worth_retrying(_task: Any, _run: Any, state: Any) -> bool:
    return may_pass(state.result(raise_on_failure=False))


RETRIES: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [1, 5], "retry_condition_fn": _worth_retrying}
