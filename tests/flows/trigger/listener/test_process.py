"""`calig listen` as a real process on a real port: bodies are not read, faults do not stop it, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.helpers.deliveries import SECRET, body_of, headers_for

pytestmark = pytest.mark.slow

LIMITS = {"connections": 40, "head_timeout_s": 3, "body_timeout_s": 2}
NOBODY = "http://127.0.0.1:9"


class Process:
    """The process, its address, and what it logs."""

    def __init__(self, folder: Path) -> None:
        watch = folder / "watch.yaml"
        watch.write_text(
            json.dumps({"models": [{"name": "reviews"}], "listener": LIMITS | {"replay_store": str(folder / "seen.sqlite")}})
        )
        servers = {"PREFECT_API_URL": f"{NOBODY}/api", "MLFLOW_TRACKING_URI": NOBODY, "CALIG_WEBHOOK_SECRET": SECRET}
        self.log = folder / "log"
        command = [sys.executable, "-m", "flows.cli", "listen", "--watch", str(watch), "--port", "0"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env={**os.environ, **servers}, stderr=log, start_new_session=True)
        self.url = self.logged(r"listening on (http://\S+)")
        self.port = int(self.url.rpartition(":")[2])
        until(lambda: self.get("/healthz")[0] == 200)

    def logged(self, pattern: str) -> str:
        found = until(lambda: re.search(pattern, self.log.read_text()))
        return found[1] if found.re.groups else found[0]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(self.url + path, timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def deliver(self, version: str) -> int:
        body = body_of("reviews", version)
        with urlopen(Request(f"{self.url}/webhooks/mlflow", data=body, headers=headers_for(body)), timeout=10) as answer:  # noqa: S310
            return int(answer.status)

    def children(self) -> set[int]:
        listed = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in listed.splitlines()]
        return {int(pid) for pid, parent, args in rows if int(parent) == self.process.pid and "spawn_main" in args}


def until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)
    return found


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Process]:
    started = Process(tmp_path)
    yield started
    if started.process.poll() is None:
        os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait(30)


def test_what_cannot_be_handed_over_is_left_and_a_stop_is_clean(listening: Process) -> None:
    assert listening.deliver("1") == 202
    assert "cannot be reached" in listening.logged(r"reviews/1: left to calig reconcile: .*")
    status, text = listening.get("/readyz")
    assert status == 503
    assert json.loads(text)["watch_file"] == "ok"
    assert SECRET not in text + listening.log.read_text()
    assert 'handed_over_total{action="error"} 1.0' in listening.get("/metrics")[1]
    (child,) = listening.children()
    listening.process.send_signal(signal.SIGTERM)
    assert listening.process.wait(60) == 0
    assert not Path(f"/proc/{child}").exists()
    assert "Traceback" not in listening.log.read_text()


def test_an_answer_on_a_kept_connection_does_not_wait_for_an_acknowledgement(listening: Process) -> None:
    """The kernel delays one by 40 ms, and Nagle's algorithm holds a second small write back until it comes."""
    connection, taken = HTTPConnection("127.0.0.1", listening.port, timeout=10), []
    for _ in range(41):
        started = time.perf_counter()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        taken.append(time.perf_counter() - started)
    connection.close()
    assert median(taken) < 0.025, taken


def test_ten_megabytes_are_refused_before_they_are_sent(listening: Process) -> None:
    with socket.create_connection(("127.0.0.1", listening.port), timeout=10) as stream:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers_for(b"x").items())
        stream.sendall(f"POST /webhooks/mlflow HTTP/1.1\r\nHost: x\r\nContent-Length: 10485760\r\n{head}\r\n".encode())
        assert stream.recv(4096).startswith(b"HTTP/1.1 413 "), "answered, though not one byte of the body was sent"
        stream.settimeout(10)
        while stream.recv(4096):
            """It closes the connection rather than read on."""


@pytest.mark.parametrize(
    "said", [b"", b"POST /webhooks/mlflow HTTP/1.1\r\nHost: x\r\n", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"]
)
def test_half_open_requests_keep_nobody_out(listening: Process, said: bytes) -> None:
    """Three times as many connections as are allowed, none of which ever completes a request."""
    held = []
    try:
        for _ in range(3 * LIMITS["connections"]):
            stream = socket.create_connection(("127.0.0.1", listening.port), timeout=10)
            stream.sendall(said)
            held.append(stream)
        assert [listening.get("/healthz")[0] for _ in range(20)] == [200] * 20
        assert listening.deliver("1") == 202
        newest = held[-1]
        newest.settimeout(LIMITS["head_timeout_s"] + LIMITS["body_timeout_s"] + 5)
        with suppress(ConnectionResetError):
            while newest.recv(4096):
                """It is cut off in time, whatever it was answered."""
        assert listening.get("/healthz")[0] == 200
    finally:
        for stream in held:
            stream.close()


def test_a_kept_connection_lives_as_long_as_it_is_used(listening: Process) -> None:
    connection = HTTPConnection("127.0.0.1", listening.port, timeout=10)
    for _ in range(4):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        time.sleep(2)
    connection.close()


def test_a_dead_child_is_replaced_and_an_orphaned_one_ends(listening: Process) -> None:
    assert listening.deliver("1") == 202
    listening.logged("reviews/1: left")
    (first,) = listening.children()
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in listening.children())
    assert listening.deliver("2") == 202
    listening.logged("reviews/2: left")
    assert listening.deliver("3") == 202
    assert "cannot be reached" in listening.logged(r"reviews/3: left to calig reconcile: .*")
    (second,) = listening.children()
    listening.process.kill()
    listening.process.wait(30)
    until(lambda: not Path(f"/proc/{second}").exists() or Path(f"/proc/{second}/stat").read_text().split()[2] == "Z")
