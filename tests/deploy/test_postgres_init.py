"""postgres/init.sh on a real PostgreSQL: two roles that see only their own database, the second time as good as the first."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.deploy_files import DEPLOY

pytestmark = pytest.mark.slow


def _programs() -> Path:
    """The folder of initdb and pg_ctl; Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    assert initdb, "PostgreSQL is not installed: apt-get install postgresql"
    return Path(initdb).parent


class Cluster:
    """A PostgreSQL server of the test's own, in `folder`; it refuses to run as root, so then it runs as postgres."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def run(self, *command: object, **environment: str) -> str:
        """Standard output of a command run as the server's user, on its socket."""
        there = {
            "PATH": f"{_programs()}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "PGHOST": str(self.folder),
            "PGPORT": self.port,
        }
        full = [*self._as, "env", *(f"{name}={value}" for name, value in {**there, **environment}.items()), *map(str, command)]
        done = subprocess.run(full, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, role: str, password: str, database: str, question: str) -> subprocess.CompletedProcess[str]:
        """`question` asked over TCP, where a password is needed."""
        return subprocess.run(
            [_programs() / "psql", "-h", "127.0.0.1", "-p", self.port, "-U", role, "-At", "-c", question, database],
            env={"PGPASSWORD": password, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )

    def initialise(self) -> None:
        """Run init.sh with the passwords in the folder."""
        files = {f"{name.upper()}_PASSWORD_FILE": str(self.folder / name) for name in ("mlflow", "prefect")}
        self.run("sh", self.folder / "init.sh", **files)

    def set_password(self, role: str, password: str) -> None:
        """Write the file that init.sh reads."""
        (self.folder / role).write_text(password + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="calig-postgres-"))  # pytest's own folders are closed to other users
    try:
        server = Cluster(folder)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        folder.chmod(0o755)
        shutil.copy(DEPLOY / "postgres" / "init.sh", folder)
        data, options = folder / "data", f"-p {server.port} -c listen_addresses=127.0.0.1 -k {folder}"
        server.run("initdb", "-D", data, "-U", "postgres", "--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync")
        server.run("pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield server
        finally:
            server.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder)


def test_each_role_has_its_own_database_and_no_other(cluster: Cluster) -> None:
    cluster.set_password("mlflow", 'it\'s $odd \\ "one"')
    cluster.set_password("prefect", "another")
    cluster.initialise()
    made = cluster.ask("mlflow", 'it\'s $odd \\ "one"', "mlflow", "CREATE TABLE kept (n int); SELECT similarity('a', 'a')")
    assert (made.returncode, made.stdout.splitlines()[-1]) == (0, "1")
    cluster.initialise()
    assert cluster.ask("mlflow", 'it\'s $odd \\ "one"', "mlflow", "SELECT count(*) FROM kept").stdout == "0\n"
    assert "permission denied" in cluster.ask("prefect", "another", "mlflow", "SELECT 1").stderr
    rights = "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname IN ('mlflow', 'prefect')"
    assert cluster.ask("prefect", "another", "prefect", rights).stdout == "f|f|f\nf|f|f\n"


def test_running_it_again_changes_a_password(cluster: Cluster) -> None:
    cluster.set_password("mlflow", "first")
    cluster.set_password("prefect", "first")
    cluster.initialise()
    cluster.set_password("prefect", "second")
    cluster.initialise()
    assert "authentication failed" in cluster.ask("prefect", "first", "prefect", "SELECT 1").stderr
    assert cluster.ask("prefect", "second", "prefect", "SELECT 1").stdout == "1\n"
