"""All servers together: started in order, wired by environment variables, ended in `finally`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from tests.e2e.cluster import servers
from tests.e2e.cluster.children import kill_flow_processes
from tests.e2e.cluster.postgres import Postgres, running_postgres
from tests.e2e.cluster.process import Server, ServerError, stamp

_DATABASES = ("mlflow", "prefect")


@dataclass
class Cluster:
    """Running servers. `environment` is what a client process needs: addresses, a Prefect home, this checkout first."""

    folder: Path
    postgres: Postgres
    mlflow: Server
    prefect: Server
    environment: dict[str, str]
    secret: str
    worker: Server = field(init=False)
    warm: Server | None = None
    listener: Server | None = None

    @property
    def mlflow_url(self) -> str:
        return servers.address_of(self.mlflow)

    @property
    def output(self) -> Path:
        """Where the deployment's runs leave results and caches."""
        return self.folder / "runs"

    @property
    def logs(self) -> list[Path]:
        return sorted(self.folder.glob("*.log"))

    def run(self, *arguments: str | Path, limit_s: float = 120.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `python -m ARGUMENTS` as a client of the servers."""
        result = subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=servers.REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
        if check and result.returncode:
            raise ServerError(f"{' '.join(map(str, arguments))} ended with {result.returncode}:\n{result.stdout}{result.stderr}")
        return result

    def calig(self, *arguments: str | Path, limit_s: float = 120.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the `calig` command as a client of the servers."""
        return self.run("flows.cli", *arguments, limit_s=limit_s, check=check)

    def listen(self, watch: Path) -> Server:
        """Start the listener; it is ended with the cluster."""
        self.listener = servers.listener(self.folder, self.environment, watch)
        self.listener.start()
        return self.listener

    def note(self, text: str) -> None:
        """Put a line of the test's own among the servers' logs."""
        with (self.folder / "test.log").open("a", encoding="utf-8") as file:
            file.write(stamp(text))

    def show_logs(self) -> str:
        """The ends of all logs, for the message of a test that fails."""
        return "\n".join(f"===== {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in self.logs)


@contextmanager
def running_cluster(folder: Path, *, workers: int = 2, warm: bool = False, **environment: str) -> Iterator[Cluster]:
    """Everything but the listener, which needs a watch file: see `Cluster.listen`.

    Args:
        folder: logs, artifacts and results go here.
        workers: flow runs at one time.
        warm: fork the runs from a process that has imported the libraries.
        environment: more variables for worker, listener and clients.
    """
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres(folder, _DATABASES))
        mlflow = servers.mlflow_server(folder, postgres.url("mlflow"))
        prefect = servers.prefect_server(folder, postgres.url("prefect", "postgresql+asyncpg"))
        for server in (mlflow, prefect):  # both are slow to start: side by side
            stack.callback(server.stop)
            server.start(wait=False)
        for server in (mlflow, prefect):
            server.wait_until_well()
        cluster = _cluster(folder, postgres, mlflow, prefect, environment)
        stack.callback(_stop, cluster)
        if warm:
            servers.warm_socket(folder).parent.mkdir()
            cluster.warm = servers.warm(folder, cluster.environment)
            cluster.warm.start()
        _deploy(cluster)
        cluster.worker = servers.worker(folder, cluster.environment, limit=workers)
        cluster.worker.start()
        yield cluster


def _cluster(folder: Path, postgres: Postgres, mlflow: Server, prefect: Server, more: Mapping[str, str]) -> Cluster:
    secret = token_hex(32)
    environment = servers.base_environment(
        folder / "prefect-home",
        MLFLOW_TRACKING_URI=servers.address_of(mlflow),
        PREFECT_API_URL=f"{servers.address_of(prefect)}/api",
        PREFECT_LOCAL_STORAGE_PATH=str(folder / "prefect-results"),
        CALIG_HOME=str(servers.REPOSITORY),
        CALIG_WEBHOOK_SECRET=secret,
    )
    return Cluster(folder, postgres, mlflow, prefect, {**environment, **more}, secret)


def _deploy(cluster: Cluster) -> None:
    """The pool and the deployment, as the comments of deploy/prefect.yaml say."""
    cluster.run("prefect", "work-pool", "create", servers.POOL, "--type", "process")
    file = servers.REPOSITORY / "deploy" / "prefect.yaml"
    command = () if cluster.warm is None else ("--job-variable", f"command={servers.warm_command(cluster.folder)}")
    deploy = ("prefect", "--no-prompt", "deploy", "--prefect-file", file)
    cluster.run(*deploy, "--name", "explain-release", "--param", f"output={cluster.output}", *command)


def _stop(cluster: Cluster) -> None:
    """Worker and listener, and flow runs that outlived a killed worker."""
    for server in (cluster.listener, getattr(cluster, "worker", None), cluster.warm):
        if server is not None:
            server.stop()
    kill_flow_processes(cluster.environment["PREFECT_HOME"], servers.warm_socket(cluster.folder))
