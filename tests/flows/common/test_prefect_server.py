"""The local Prefect server: isolated from proxies, profiles and homes, gone with its command, its own words in the error."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.common.errors import CouldNotRunError
from flows.common import prefect_server

ROOT = Path(__file__).parents[3]
_FLOW = """
import sys
from pathlib import Path
from flows.common.prefect_server import await_server, prefect_api
with prefect_api(Path(sys.argv[1])) as server:
    from prefect import flow, task
    await_server(server)
    print("server", server._process.pid, flush=True)
    @task
    def one(): return 1
    @flow
    def run(): return one()
    print("flow", run(), flush=True)
    if len(sys.argv) > 2:
        import time; time.sleep(100)
"""


def started(output: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-c", _FLOW, str(output), *more],
        env={**known, "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "CRITICAL", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_gone(pid: int) -> bool:
    """Whether the process has ended; a zombie that nobody collects has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def named_nowhere(monkeypatch):
    """No API is named, neither by the environment nor by what this process has loaded."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(prefect_server, "_given_by_process", lambda: False)


@pytest.mark.usefixtures("named_nowhere")
def test_a_server_that_does_not_start_is_quoted(tmp_path):
    home = prefect_server._home(tmp_path)
    (home / "prefect.db").write_bytes(b"no database at all" * 100)
    server = prefect_server.LocalServer(home)
    with pytest.raises(CouldNotRunError, match=r"(?s)did not start.*not a database.*next: delete"):
        server.wait()
    server.stop()


def test_a_named_api_that_is_down_is_said_within_seconds(tmp_path, monkeypatch):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{bound.getsockname()[1]}/api")
        began = time.monotonic()
        with pytest.raises(CouldNotRunError, match="PREFECT_API_URL names does not answer"), prefect_server.prefect_api(tmp_path):
            pass
    assert time.monotonic() - began < 15


def test_an_output_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CouldNotRunError, match="output folder cannot be written"):
        prefect_server._home(tmp_path / "file")


@pytest.mark.slow
def test_surroundings_do_not_matter_and_two_commands_share_a_folder(tmp_path):
    profiles = tmp_path / ".prefect" / "profiles.toml"
    profiles.parent.mkdir()
    profiles.write_text('active = "down"\n[profiles.down]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n', encoding="utf-8")
    hostile = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
        "PREFECT_PROFILES_PATH": str(profiles),
        "PREFECT_PROFILE": "absent",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://nobody@127.0.0.1:9/none",
        "PREFECT_SERVER_API_AUTH_STRING": "admin:secret",
        "HOME": "/proc/none",
    }
    running = [started(tmp_path / "runs", **hostile) for _ in range(2)]
    for process in running:
        said, trouble = process.communicate(timeout=120)
        assert process.returncode == 0, trouble
        assert "flow 1" in said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_its_command(tmp_path, number):
    process = started(tmp_path / "runs", "stay")
    assert process.stdout is not None
    pid = int(process.stdout.readline().split()[1])
    assert process.stdout.readline() == "flow 1\n"
    assert not is_gone(pid)
    process.send_signal(number)
    process.communicate(timeout=30)
    until = time.monotonic() + 5
    while not is_gone(pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert is_gone(pid)
