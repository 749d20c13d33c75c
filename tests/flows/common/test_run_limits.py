"""A run that reaches a limit of time or memory ends with an error and exit code 4, also when it does not listen."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.common.errors import CouldNotRunError, InputError, PublishError, engine_errors
from flows.common import progress, run_limits
from flows.common.run_limits import is_transient
from schemas.config import ExecutionConfig

ROOT = Path(__file__).parents[3]
_RUN = """
import sys, time
from contextlib import suppress
from flows.common import run_limits
from flows.cli.exit_codes import ended
from schemas.config import ExecutionConfig
run_limits._GRACE_S = 1.0

def run():
    with run_limits.within_limits(ExecutionConfig({limits})):
        {work}
    return 0

sys.exit(ended(run, debug=False))
"""


@pytest.mark.parametrize(
    ("limits", "work", "said"),
    [
        ("hours=0.0001", "time.sleep(60)", "execution.hours"),
        ("memory_gigabytes=0.2", "kept = b'x' * 300_000_000; time.sleep(60)", "execution.memory_gigabytes"),
        ("hours=0.0001", "[suppress(Exception).__enter__(), sum(1 for _ in iter(int, 1))]", "execution.hours"),
    ],
)
def test_a_limit_ends_the_run(limits, work, said):
    script = _RUN.format(limits=limits, work=work)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4, done.stderr
    assert said in done.stderr
    assert "finished shards are kept" in done.stderr
    assert "Traceback" not in done.stderr


def test_who_swallows_the_error_is_ended_all_the_same():
    work = """
        while True:
            try:
                time.sleep(60)
            except Exception:
                pass
"""
    done = subprocess.run(
        [sys.executable, "-c", _RUN.format(limits="hours=0.0001", work=work.strip())],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert "execution.hours" in done.stderr


def test_tasks_end_at_their_next_batch(monkeypatch):
    progress.begin("attributing", 10)
    advance = progress.advance_current()
    advance(1)
    reached = run_limits.LimitError("The run takes longer than it may.")
    monkeypatch.setattr(run_limits, "_reached", reached)
    with pytest.raises(run_limits.LimitError):
        advance(1)
    with pytest.raises(run_limits.LimitError):
        progress.begin("measuring quality", 10)
    assert not is_transient(reached)


def test_without_limits_nothing_watches():
    with run_limits.within_limits(ExecutionConfig()):
        run_limits.check()


def test_within_its_limits_a_run_is_left_alone():
    with run_limits.within_limits(ExecutionConfig(hours=1, memory_gigabytes=1000)):
        time.sleep(0.6)
        run_limits.check()
    run_limits.check()


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
