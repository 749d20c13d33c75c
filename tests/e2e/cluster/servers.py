"""The commands that serve: MLflow and Prefect on PostgreSQL, the worker, the listener; as in deploy/, without containers."""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.request import urlopen

from tests.e2e.cluster.process import Server, answers, free_port

REPOSITORY = Path(__file__).resolve().parents[3]
POOL = "calig"

#: For every process: this checkout, offline, quiet, and one thread each, since the models are tiny.
_COMMON = {
    "PYTHONPATH": str(REPOSITORY),
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


def base_environment(home: Path, **more: str) -> dict[str, str]:
    """The test's own environment without settings of Prefect, MLflow and calig, and a Prefect home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "CALIG_"))}
    return {**kept, **_COMMON, "PREFECT_HOME": str(home), **more}


def mlflow_server(folder: Path, database_url: str) -> Server:
    """MLflow on PostgreSQL that proxies artifacts and delivers webhooks to loopback."""
    port = free_port()
    environment = base_environment(
        folder / "prefect-home",
        MLFLOW_BACKEND_STORE_URI=database_url,  # in the environment: a command line can be read by every user
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http,https",
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
        MLFLOW_WEBHOOK_CACHE_TTL="1",
        MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=base64.urlsafe_b64encode(os.urandom(32)).decode(),
    )
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--artifacts-destination", folder / "artifacts", "--serve-artifacts"]
    return _server("MLflow", [*command, *stores], folder, environment, port, "/health")


def prefect_server(folder: Path, database_url: str) -> Server:
    """Prefect's API and services on PostgreSQL."""
    port = free_port()
    environment = base_environment(folder / "prefect-server-home", PREFECT_API_DATABASE_CONNECTION_URL=database_url)
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    return _server("Prefect", command, folder, environment, port, "/api/health")


def worker(folder: Path, environment: Mapping[str, str], *, limit: int, name: str = "worker") -> Server:
    """A process worker on the pool, well when it has called at the pool."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    return Server(
        name=name,
        command=[*command, "--name", name, "--limit", str(limit)],
        log=folder / f"{name}.log",
        environment={**environment, "PREFECT_WORKER_QUERY_SECONDS": "2"},
        is_well=lambda server: server.said("started!"),
        cwd=folder,
    )


def listener(folder: Path, environment: Mapping[str, str], watch: Path) -> Server:
    """`calig listen`."""
    port = free_port()
    command = [sys.executable, "-m", "flows.cli", "listen", "--watch", watch, "--host", "127.0.0.1", "--port", str(port)]
    return _server("listener", command, folder, environment, port, "/readyz")


def warm(folder: Path, environment: Mapping[str, str]) -> Server:
    """The process that flow runs are forked from; see warm.py."""
    return Server(
        name="warm",
        command=[*_WARM, "serve", warm_socket(folder)],
        log=folder / "warm.log",
        environment=environment,
        is_well=lambda server: server.said("warm; threads: none"),
        cwd=folder,
    )


def warm_command(folder: Path) -> str:
    """The worker's command that has a run forked."""
    return " ".join(map(str, [*_WARM, "run", warm_socket(folder)]))


def warm_socket(folder: Path) -> Path:
    """Where both meet; beside it lie the ids of the forked processes."""
    return folder / "warm" / "socket"


_WARM = (sys.executable, "-P", Path(__file__).with_name("warm.py"))


def port_of(server: Server) -> int:
    """The port that a server's command names."""
    parts = list(map(str, server.command))
    return int(parts[parts.index("--port") + 1])


def address_of(server: Server) -> str:
    """The server's address on loopback."""
    return f"http://127.0.0.1:{port_of(server)}"


def read_text(url: str) -> str:
    """What a GET of `url` answers."""
    with urlopen(url, timeout=10) as response:  # noqa: S310
        return str(response.read().decode())


def _server(name: str, command: list[str | Path], folder: Path, environment: Mapping[str, str], port: int, health: str) -> Server:
    return Server(
        name=name,
        command=command,
        log=folder / f"{name.lower()}.log",
        environment=environment,
        is_well=answers(f"http://127.0.0.1:{port}{health}"),
        cwd=folder,
    )
