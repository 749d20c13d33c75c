"""PostgreSQL from Debian's packages in a folder of its own, run as an unprivileged user when the tests run as root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Literal

from tests.e2e.cluster.process import Server, ServerError, free_port

_SHUTDOWN = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
#: A test's data need not survive the machine; they do survive the server's own crash.
_SETTINGS = ("fsync=off", "max_connections=200", "shared_buffers=64MB", "log_min_messages=warning")


class Postgres:
    """A running PostgreSQL. `url(database)` is its address, password included."""

    def __init__(self, folder: Path, data: Path, bin_folder: Path) -> None:
        self.port, self.password, self._bin = free_port(), token_hex(16), bin_folder
        self._initialise(data)
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        command = [bin_folder / "postgres", "-D", data / "db", "-h", "127.0.0.1", "-p", str(self.port), "-k", data]
        self.server = Server(
            name="PostgreSQL",
            command=[*_as_user(), *command, *settings],
            log=folder / "postgres.log",
            environment={**os.environ, "LC_ALL": "C.UTF-8"},
            is_well=self._ready,
            cwd=data,
        )

    def url(self, database: str, scheme: str = "postgresql+psycopg2") -> str:
        """SQLAlchemy's address of a database."""
        return f"{scheme}://postgres:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> None:
        """Create an empty database."""
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)

    def restart(self, mode: Literal["fast", "immediate"]) -> None:
        """Shut down (fast: sessions are ended; immediate: as in a crash, recovered at the start) and start again."""
        self.server.send(_SHUTDOWN[mode])
        if self.server.process is not None:
            self.server.process.wait(timeout=60)
        self.server.start()

    def _initialise(self, data: Path) -> None:
        password_file = data / "password"
        password_file.write_text(self.password, encoding="utf-8")
        if os.geteuid() == 0:
            shutil.chown(password_file, _USER, _USER)
        options = ["--username=postgres", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync", "--encoding=UTF8"]
        self._run("initdb", "-D", str(data / "db"), "--locale=C.UTF-8", *options)
        password_file.unlink()

    def _ready(self, _: Server) -> bool:
        command = [self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False, timeout=10).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        result = subprocess.run(
            [*_as_user(), self._bin / program, *arguments],
            cwd="/",
            env={**os.environ, "PGPASSWORD": self.password, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if result.returncode:
            raise ServerError(f"{program} failed:\n{result.stderr}")


@contextmanager
def running_postgres(folder: Path, databases: tuple[str, ...]) -> Iterator[Postgres]:
    """PostgreSQL with empty `databases`; its log goes into `folder`, its data into a folder that its user can reach."""
    binaries = postgres_binaries()
    if binaries is None:
        raise ServerError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    data = Path(tempfile.mkdtemp(prefix="calig-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(data, _USER, _USER)
        postgres = Postgres(folder, data, binaries)
        try:
            postgres.server.start()
            for name in databases:
                postgres.create_database(name)
            yield postgres
        finally:
            postgres.server.send(signal.SIGINT)  # fast: the group's SIGTERM would wait for the clients
            postgres.server.stop()
    finally:
        shutil.rmtree(data, ignore_errors=True)


def postgres_binaries() -> Path | None:
    """The folder with `initdb` and `postgres` of the newest version installed; None when there is none."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    newest = max(folders, key=lambda folder: float(folder.parent.name), default=None)
    return newest or (Path(on_path).parent if on_path else None)


_USER = "postgres"


def _as_user() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
