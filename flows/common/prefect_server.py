"""Local Prefect server for one command, when PREFECT_API_URL names none: isolated from the surroundings, ended with the command.

It keeps its database below the output folder, so that neither the user's profile nor a database of another Prefect release
matters, takes no Prefect setting from the environment, and is never reached through a proxy. It runs in a session of its own:
Ctrl-C in the terminal reaches only the command, whose flows can then still report how they ended.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from components.common.caches import in_use
from components.common.errors import CaligError, CouldNotRunError
from flows.common.process import never_proxy_loopback

API_URL = "PREFECT_API_URL"
_STARTUP_S = 180.0
_POLL_S = 0.1
_STOP_S = 5.0
_LOG_LINES = 5
#: Settings of the user's servers and profiles, which mean nothing to this one.
_FOREIGN = (
    "PREFECT_API_",
    "PREFECT_SERVER_",
    "PREFECT_PROFILE",
    "PREFECT_CLOUD_",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
    "PREFECT_UI_",
)
_SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT__SERVER_EPHEMERAL": "1",  # only the background services that a single process needs
    "PREFECT__SERVER_FINAL": "1",
    "DO_NOT_TRACK": "1",
}


class LocalServer:
    """A Prefect server as a child process, for the life of this one; it starts in the background while libraries are imported."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - for the life of the server
        with socket.create_server(("127.0.0.1", 0), backlog=256) as bound:
            self._port = int(bound.getsockname()[1])
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "flows.common.prefect_server_process", str(bound.fileno()), str(os.getpid())],
                cwd=home,
                env=_server_environment(home),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[bound.fileno()],
                start_new_session=True,
            )
        atexit.register(self.stop)  # after what Prefect sends at its own exit, since that is registered later

    @property
    def api_url(self) -> str:
        """Where its API will be."""
        return f"http://127.0.0.1:{self._port}/api"

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            CouldNotRunError: it ended or did not answer in time; with the last lines of its log.
        """
        until = time.monotonic() + _STARTUP_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise self.failure("The local Prefect server did not start.")
            time.sleep(_POLL_S)

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def failure(self, problem: str) -> CouldNotRunError:
        """What its log says at the end."""
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        return CouldNotRunError(
            problem,
            got=" | ".join(lines[-_LOG_LINES:]) or f"exit code {self._process.poll()}, and no word in its log",
            next_step=f"delete {self._home} and run again, or name a server of your own: PREFECT_API_URL=http://HOST:4200/api",
        )

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=2.0)
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def prefect_api(output: Path) -> Iterator[LocalServer | None]:
    """Have a Prefect API while inside: the one that PREFECT_API_URL names, else a local server, which is yielded: `wait` for it.

    A process that has loaded Prefect and given it an API, such as a notebook, keeps that one.

    Raises:
        CouldNotRunError: the named API does not answer; or the local server fails, also later.
    """
    if os.environ.get(API_URL):
        _check_named(os.environ[API_URL])
        yield None
        return
    if _given_by_process():
        yield None
        return
    never_proxy_loopback()
    home = _home(output)
    try:
        with in_use(output):
            server = LocalServer(home)
            with _used(server, home):
                yield server
    except CaligError:
        raise
    except Exception as error:
        if server.has_ended():
            raise server.failure("The local Prefect server ended while it was needed.") from error
        raise


def await_server(server: LocalServer | None) -> None:
    """Wait for the local server, if that is the one to use; errors as above."""
    if server is not None:
        server.wait()


def _given_by_process() -> bool:
    if "prefect" not in sys.modules:
        return False
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def _check_named(url: str) -> None:
    """Whether anything answers, within seconds: Prefect's client would try for minutes."""
    import httpx

    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=10.0)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise CouldNotRunError(
            "The Prefect API that PREFECT_API_URL names does not answer.",
            got=f"{url}: {error or type(error).__name__}",
            next_step="start it or correct PREFECT_API_URL; unset it, and calig runs a server of its own",
        ) from error


def _home(output: Path) -> Path:
    """One for each Prefect release: databases of other releases may have another schema."""
    home = (output / ".cache" / f"prefect-server-{version('prefect')}").absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CouldNotRunError(
            "The output folder cannot be written.", got=f"{home}: {error.strerror}", next_step="choose another with --output"
        ) from error
    return home


@contextmanager
def _used(server: LocalServer, home: Path) -> Iterator[None]:
    """Let this process and the workers it starts use the server, and no profile."""
    before = {name: value for name, value in os.environ.items() if name.startswith("PREFECT_")}
    for name in before:
        if name.startswith(_FOREIGN):
            del os.environ[name]
    os.environ |= {
        API_URL: server.api_url,
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
    }
    try:
        with _loaded_settings(server.api_url):
            yield
    finally:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            del os.environ[name]
        os.environ |= before


@contextmanager
def _loaded_settings(api_url: str) -> Iterator[None]:
    """Prefect reads the environment once, when it is imported."""
    if "prefect" not in sys.modules:
        yield
        return
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url}):
        yield


def _server_environment(home: Path) -> dict[str, str]:
    """No Prefect setting of the user's, and none of the `.env` and `prefect.toml` where the command was started."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    packages = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **ours,
        **_SERVER,
        "PYTHONPATH": packages,
        "HOME": str(home),
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
    }
