"""Only what may pass by itself is tried again."""

from __future__ import annotations

import pytest

from components.common.errors import CouldNotRunError, InputError, PublishError, engine_errors
from flows.common.task_options import is_transient


class OutOfMemoryError(RuntimeError):
    """As torch has it."""


PanicException = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})


@pytest.mark.parametrize(
    "error",
    [CouldNotRunError("x"), PublishError("x"), ConnectionError("x"), TimeoutError("x"), OSError(5, "I/O"), OutOfMemoryError("x")],
)
def test_surroundings_may_get_well(error):
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [InputError("x"), ValueError("x"), ImportError("x"), FileNotFoundError("x"), PermissionError("x"), PanicException("x"), None],
)
def test_the_rest_stays_as_it_is(error):
    assert not is_transient(error)


def test_a_panic_in_native_code_is_bad_input():
    with pytest.raises(InputError, match="panic in native code"), engine_errors():
        raise PanicException("BacktrackLimitExceeded")
    with pytest.raises(KeyboardInterrupt), engine_errors():
        raise KeyboardInterrupt
