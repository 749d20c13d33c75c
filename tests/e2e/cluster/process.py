"""One server as a process group of its own: started until well, ended or killed with all its children, its log kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

#: Until a server answers. MLflow and Prefect take ten seconds each, minutes on a crowded machine.
START_LIMIT_S = 300.0
_END_LIMIT_S = 30.0


class ServerError(RuntimeError):
    """A server did not get well or did not end; the message holds the end of its log."""


@dataclass
class Server:
    """A command that serves. `is_well` tells whether it answers; the log is appended to over restarts."""

    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str]
    is_well: Callable[[Server], bool]
    cwd: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _log_start: int = field(default=0, init=False)
    _copying: Thread | None = field(default=None, init=False)

    def start(self, *, wait: bool = True) -> None:
        """Start it; with `wait` until it answers."""
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self.process = subprocess.Popen(
            [str(part) for part in self.command],
            cwd=self.cwd,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._copying = Thread(target=copy_stamped, args=(self.process.stdout, self.log), daemon=True)
        self._copying.start()
        if wait:
            self.wait_until_well()

    def wait_until_well(self, limit_s: float = START_LIMIT_S) -> None:
        """Return when it answers.

        Raises:
            ServerError: it ended, or does not answer within `limit_s`.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and self.running:
            if self.is_well(self):
                return
            time.sleep(0.2)
        state = "does not answer" if self.running else f"ended with code {self.process and self.process.returncode}"
        raise ServerError(f"{self.name} {state}; the end of {self.log}:\n{self.tail()}")

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server's own process, not to its children."""
        if self.running and self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill −9 of the whole process group, as when a machine is lost."""
        self._signal_group(signal.SIGKILL)
        self._wait()

    def stop(self) -> None:
        """Ask the group to end, and kill what does not."""
        self._signal_group(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._wait()
        self.kill()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def tail(self, n_characters: int = 3000) -> str:
        """The end of the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-n_characters:] if self.log.exists() else ""

    def said(self, text: str) -> bool:
        """Whether the log holds `text` since the last start."""
        return self.log.exists() and text.encode() in self.log.read_bytes()[self._log_start :]

    def _signal_group(self, number: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def _wait(self) -> None:
        if self.process is not None:
            self.process.wait(timeout=_END_LIMIT_S)
        if self._copying is not None:
            self._copying.join(timeout=2)  # children may hold the other end for longer


def stamp(line: str) -> str:
    """A log's line: UTC to the millisecond, then what was said."""
    return f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {line.rstrip()}\n"


def copy_stamped(source: IO[bytes], log: Path) -> None:
    """Copy what a process says into its log, line by line as it comes: not every server says the time."""
    with source, log.open("a", encoding="utf-8", buffering=1) as file:
        for line in source:
            file.write(stamp(line.decode("utf-8", errors="replace")))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> Callable[[Server], bool]:
    """A check that `url` answers with 2xx."""

    def check(_: Server) -> bool:
        try:
            with urlopen(url, timeout=2):  # noqa: S310
                return True
        except (URLError, OSError):
            return False

    return check
