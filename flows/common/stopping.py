"""Stops a command within seconds of Ctrl-C or SIGTERM, whatever its threads and libraries are doing.

Finished shards lie on disk whole, so nothing is lost by ending abruptly: the command first gets the chance to unwind, and after
a few seconds, or at a second signal, the process ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

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
