"""This process: settings made before the heavy libraries are imported, and its end within seconds of Ctrl-C or SIGTERM.

Settings are of logs, telemetry, MLflow and Prefect. Finished shards lie on disk whole, so nothing is lost by ending abruptly: the
command first gets the chance to unwind, and after a few seconds, or at a second signal, the process ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

#: Where results and caches go unless a command is told otherwise.
DEFAULT_OUTPUT = Path("calig-runs")

_ALWAYS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

#: In the environment of a process that is to be quiet, and of all that it starts.
QUIET_MARK = "CALIG_QUIET"

_QUIET = {
    QUIET_MARK: "1",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "ALEMBIC_LOG_LEVEL": "ERROR",
}


_LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: Loggers that say more than a user asked for; the empty name is the root.
_TALKATIVE = ("", "great_expectations", "mlflow", "alembic", "torch.onnx")


def prepare(*, debug: bool, tracking_uri: str | None, output: Path, offline: bool) -> None:
    """Set the process up; what the user has set in the environment stays.

    Args:
        debug: leave logs and warnings as the libraries want them.
        tracking_uri: MLflow server or store; passed on through MLflow's own variable, so that a password in it is
            never a flow parameter.
        output: Prefect keeps task results beside ours, so that both can be moved or deleted together.
        offline: nothing has to come from a model hub.
    """
    settings = dict(_ALWAYS)
    if not debug:
        settings |= _QUIET
        quieten()
    if offline:
        settings["HF_HUB_OFFLINE"] = "1"
    settings["PREFECT_LOCAL_STORAGE_PATH"] = str((output / ".cache" / "prefect").absolute())
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if tracking_uri is not None:
        os.environ["MLFLOW_TRACKING_URI"] = tracking_uri
    never_proxy_loopback()


def never_proxy_loopback() -> None:
    """Reach servers of this machine directly, whatever proxy is set: no other machine knows what its loopback address means."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join([*hosts, *(host for host in _LOOPBACK if host not in hosts)])


def is_folder_or_registered(model: str) -> bool:
    """Whether a model reference needs no model hub; what is wrong with it is said where it is parsed."""
    try:
        return model.startswith("models:") or Path(model).exists()
    except (OSError, ValueError):
        return False


def check_working_directory() -> None:
    """Raise InputError when the directory that the process works in has been deleted."""
    from components.common.errors import InputError

    try:
        Path.cwd()
    except OSError as error:
        raise InputError("The working directory does not exist any more.", next_step="cd to another one") from error


def quieten() -> None:
    """Keep warnings and the talkative loggers' lines below errors from this process's output."""
    warnings.simplefilter("ignore")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("calig").setLevel(logging.WARNING)  # our own lines are few, and each is worth reading
    # Great Expectations sets this logger's level itself when it is imported; a filter outlives that.
    logging.getLogger("great_expectations.data_context.types.base").addFilter(lambda line: line.levelno >= logging.ERROR)


_RESUME = b"interrupted; finished shards are kept, start the same command again to go on\n"
#: Exit codes of a process that was stopped.
STOPPED = frozenset(128 + number for number in (signal.SIGINT, signal.SIGTERM))
_GRACE_S = 3.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"
_telling, _told = threading.Lock(), threading.Event()


class Stopped(KeyboardInterrupt):
    """A signal that asks the process to end; like Ctrl-C no library takes it for an error."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


def exit_code_of(interruption: KeyboardInterrupt) -> int:
    """The exit code that shells use for a process ended by this signal."""
    return 128 + getattr(interruption, "signal_number", signal.SIGINT)


@contextmanager
def stoppable() -> Iterator[None]:
    """While inside, SIGINT and SIGTERM raise `Stopped` in the main thread; if that does not end the process, it is ended.

    Python writes the number of a signal to the wakeup descriptor as soon as it arrives, also when Prefect handles SIGTERM or
    the main thread is in native code; a thread reads it there and keeps the time. It goes on after this context, since the
    interpreter waits for worker threads when it ends.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    threading.Thread(target=_keep_time, args=(reader,), name="calig-stop", daemon=True).start()
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    stopped = False
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt) or type(error).__name__ == "TerminationSignal"
        raise
    finally:
        if not stopped:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(number)


def _keep_time(reader: int) -> None:
    numbers = {int(number) for number in _SIGNALS}
    while True:
        first = next((number for number in os.read(reader, 64) if number in numbers), None)
        if first is not None:
            break
    timer = threading.Timer(_GRACE_S, _end, (first,))
    timer.daemon = True
    timer.start()
    while not any(number in numbers for number in os.read(reader, 64)):
        pass
    _end(first)


def _end(number: int) -> NoReturn:
    if sys.stderr.isatty():
        with suppress(OSError):
            os.write(2, _SHOW_CURSOR)
    say_resume()
    end_process(128 + number)


def end_process(code: int) -> NoReturn:
    """End this process and its workers without waiting for threads; the local Prefect server notices by itself."""
    import multiprocessing

    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def say_resume() -> None:
    """Tell once that nothing is lost; by the descriptor, since another thread may hold the stream's lock.

    The main thread and the one that keeps the time may both get here: the second waits until it is told, and tells nothing.
    """
    with _telling:
        if not _told.is_set():
            _told.set()
            with suppress(OSError):
                os.write(2, _RESUME)


def ignore_interrupts() -> None:
    """For worker processes: leave Ctrl-C, which the terminal sends to all processes, to the one that owns them."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
