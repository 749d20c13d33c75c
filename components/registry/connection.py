"""Connection to the MLflow tracking server of this process: checked within seconds, quiet, its errors mapped."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from components.common.errors import CaligError, CouldNotRunError, InputError
from components.registry.addresses import artifact_location, checked_client, sqlite_file, without_password

_CONNECT_TIMEOUT_S = 5.0
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
#: MLflow's own defaults retry an unreachable server for minutes; what a user has set wins.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it may hold a password, and standard output is for the record
}
#: They announce every table of a fresh database.
_TALKATIVE = ("alembic", "mlflow.store.db.utils")
#: What MLflow's database code still does and SQLAlchemy warns of.
_OUTDATED = ("The ``noload`` loader strategy is deprecated",)


def load_mlflow() -> Any:
    """Import mlflow with telemetry and announcements off and short retries (most are read from the environment at import)."""
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    import mlflow

    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _OUTDATED:
        warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
    return mlflow


def server() -> str:
    """Address of the tracking server of this process: what MLflow was told, else MLFLOW_TRACKING_URI, else MLflow's default.

    `--tracking-uri` is written to that variable (`flows.common.process.prepare`), which child processes inherit.
    """
    return str(load_mlflow().get_tracking_uri())


def connect() -> Any:
    """An `MlflowClient` of the process's tracking server.

    Raises:
        CouldNotRunError: when nothing answers at that address within a few seconds.
        InputError: when the address cannot be one of a tracking server.
    """
    uri = server()
    _check_reachable(uri)
    if not load_mlflow().is_tracking_uri_set():
        _check_named(uri)
    with tracking_errors("open the tracking store"):
        return checked_client(uri)


def check_reachable() -> None:
    """Whether something answers where the tracking server should be, without loading MLflow; errors as for `connect`."""
    _check_reachable(os.environ.get("MLFLOW_TRACKING_URI") or server())


@contextmanager
def tracking_errors(doing: str) -> Iterator[None]:
    """Turn whatever MLflow and its storage back ends raise while `doing` into a CouldNotRunError."""
    try:
        yield
    except CaligError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CouldNotRunError(
            f"MLflow could not {doing}.",
            got=reason,
            next_step=f"check the tracking server at {without_password(server())}, its storage and your access; run again",
        ) from error


def is_missing(error: Exception) -> bool:
    """Whether MLflow says that the thing asked for does not exist."""
    return getattr(error, "error_code", "") in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}


def experiment_id(client: Any, name: str) -> str:
    """The id of the experiment called `name`, created when there is none."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return _created_experiment(client, name)
    if experiment.lifecycle_stage != "active":
        raise CouldNotRunError(
            f"The experiment {name!r} was deleted, so nothing can be logged to it.",
            next_step=f"restore it: mlflow experiments restore --experiment-id {experiment.experiment_id}",
        )
    return str(experiment.experiment_id)


def _created_experiment(client: Any, name: str) -> str:
    try:
        return str(client.create_experiment(name, artifact_location=artifact_location(client.tracking_uri)))
    except Exception:
        experiment = client.get_experiment_by_name(name)  # another process may have been faster
        if experiment is None:
            raise
        return str(experiment.experiment_id)


def _check_reachable(uri: str) -> None:
    database = sqlite_file(uri)
    if database is not None and not database.parent.is_dir():
        raise InputError(
            "The folder of the tracking database does not exist.", got=database, next_step="create it or correct the tracking URI"
        )
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if parts.hostname is None or scheme not in _PORTS or _through_proxy(scheme, parts.hostname):
        return
    try:
        _probe(scheme, parts.hostname, parts.port or _PORTS[scheme])
    except (OSError, HTTPException) as error:
        raise CouldNotRunError(
            "The MLflow tracking server cannot be reached.",
            got=f"{without_password(uri)}: {error}",
            next_step="start it, or correct --tracking-uri / MLFLOW_TRACKING_URI, then run again",
        ) from error


def _check_named(default_uri: str) -> None:
    """MLflow's own default is a database in the working directory, which it makes when it is looked into."""
    database = sqlite_file(default_uri)
    if database is not None and not database.is_file():
        raise InputError(
            "No tracking server is named, and there is no MLflow database in the working directory.",
            got=database,
            allowed="--tracking-uri or MLFLOW_TRACKING_URI: http://mlflow.example:5000, sqlite:///PATH/mlflow.db",
            next_step="name the server that holds the model",
        )


def _through_proxy(scheme: str, host: str) -> bool:
    return scheme in getproxies() and not proxy_bypass(host)


def _probe(scheme: str, host: str, port: int) -> None:
    """Any answer will do, a refusal too; over TLS and for databases an open port must."""
    if scheme != "http":
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
        return
    connection = HTTPConnection(host, port, timeout=_CONNECT_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        connection.getresponse()
    finally:
        connection.close()
