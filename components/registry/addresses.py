"""Addresses of tracking servers and artifacts: taken apart, shown without their passwords, and checked before they are used.

Artifacts may lie on the tracking server, at its default location, or where the operator says. MLflow's client sends the user's
name and password, or token, to whatever http host an artifact's address names, and that address is data: anyone who may register
a version or make an experiment can write it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from components.common.errors import InputError

#: Further places, comma-separated: https://artifacts.example, s3://bucket/folder, file:///mnt/shared.
VARIABLE = "CALIG_ARTIFACT_ROOTS"
_HTTP_PORTS = {"http": 80, "https": 443}
_LOCAL = {"", "file"}


def check_place(address: str, server: str) -> None:
    """Raise InputError when artifacts at `address` are not to be read or written by a client of the tracking server `server`.

    Other hosts that speak http would be sent the tracking server's credentials. A path that a server names is a path of the
    server's machine: a client would read or write one of its own.
    """
    place, tracking = urlsplit(address), urlsplit(server)
    if _is_listed(address):
        return
    served = tracking.scheme in _HTTP_PORTS
    if place.scheme in {*_HTTP_PORTS, "mlflow-artifacts"} and place.hostname is not None:
        if not served or _host(place, tracking.scheme) != _host(tracking, tracking.scheme):
            raise InputError(
                "The artifacts lie on another host, which would be sent the tracking server's credentials: refused.",
                got=_shown(address),
                allowed=f"the tracking server's own host{_and_listed()}",
                next_step=f"when that host is to be trusted: {VARIABLE}={place.scheme}://{place.netloc.rpartition('@')[2]}",
            )
    elif served and place.scheme in _LOCAL:
        raise InputError(
            "The tracking server keeps artifacts under a path of its own machine, which no client can reach.",
            got=_shown(address),
            allowed=f"a server with --serve-artifacts, or a store that both reach, such as s3://{_and_listed()}",
            next_step=f"when the path is shared with this machine: {VARIABLE}={_shown(address)}",
        )


def is_allowed_folder(folder: Path) -> bool:
    """Whether the operator lists this folder of the machine, as a path or as a file address, or one above it."""
    return any(_is_listed(address) for address in (str(folder), folder.as_uri()))


def check_experiment(client: Any, experiment: Any) -> None:
    """Raise InputError when an experiment keeps its artifacts elsewhere than its server does by default.

    Whoever makes the experiment first chooses where everything logged to it goes.
    """
    location = str(experiment.artifact_location).rstrip("/")
    check_place(location, client.tracking_uri)
    if _is_listed(location) or location in _default_locations(client, str(experiment.experiment_id)):
        return
    raise InputError(
        f"The experiment {experiment.name!r} keeps its artifacts at a place of its own, not where the server does: refused.",
        got=_shown(location),
        allowed=f"{' or '.join(sorted(map(_shown, _default_locations(client, str(experiment.experiment_id)))))}{_and_listed()}",
        next_step=f"find out who made it, then rename or delete it; or allow the place: {VARIABLE}={_shown(location)}",
    )


def check_default(client: Any) -> None:
    """The same check for the place where the server would put a new experiment."""
    for root in _server_roots(client):
        check_place(root, client.tracking_uri)


def repository_of(address: str, client: Any) -> Any:
    """MLflow's artifact repository for `address`, after `runs:/`, `models:/` and the like were followed to where the files lie.

    Raises:
        InputError: they lie where they are not to be read.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    check_place(address, client.tracking_uri)
    repository = get_artifact_repository(address, tracking_uri=client.tracking_uri)
    innermost = repository
    while hasattr(innermost, "repo"):
        innermost = innermost.repo
    check_place(str(innermost.artifact_uri), client.tracking_uri)
    return repository


def checked_client(server: str) -> Any:
    """An `MlflowClient` of `server` that moves artifacts of runs only from and to places that pass `check_place`."""
    return _client_class()(server)


@lru_cache(maxsize=1)
def _client_class() -> Any:
    from mlflow import MlflowClient

    class CheckedClient(MlflowClient):
        def _check_run(self, run_id: str) -> None:
            check_place(str(self.get_run(run_id).info.artifact_uri), self.tracking_uri)

        def list_artifacts(self, run_id: str, path: str | None = None) -> Any:
            self._check_run(run_id)
            return super().list_artifacts(run_id, path)

        def download_artifacts(self, run_id: str, path: str, dst_path: str | None = None) -> Any:
            self._check_run(run_id)
            return super().download_artifacts(run_id, path, dst_path)

        def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
            self._check_run(run_id)
            super().log_artifact(run_id, local_path, artifact_path)

    return CheckedClient


def _default_locations(client: Any, experiment_id: str) -> set[str]:
    beside = artifact_location(client.tracking_uri)
    return {f"{root}/{experiment_id}" for root in _server_roots(client)} | ({beside} if beside else set())


def _server_roots(client: Any) -> list[str]:
    """The server's default place for artifacts, as its first experiment shows it, which the server itself makes."""
    first = client.get_experiment("0")
    location = str(first.artifact_location).rstrip("/")
    return [location.removesuffix("/0")] if location.endswith("/0") else []


def _host(parts: Any, scheme: str) -> tuple[str, int]:
    known = parts.scheme if parts.scheme in _HTTP_PORTS else scheme
    return (parts.hostname or "").lower(), parts.port or _HTTP_PORTS.get(known, 0)


def _roots() -> list[str]:
    return [root.strip().rstrip("/") for root in os.environ.get(VARIABLE, "").split(",") if root.strip()]


def _is_listed(address: str) -> bool:
    """Below a listed place; a path with `..` is below nothing."""
    plain = address.rstrip("/")
    return ".." not in plain.split("/") and any(plain == root or plain.startswith(f"{root}/") for root in _roots())


def _and_listed() -> str:
    listed = _roots()
    return f", or a place that {VARIABLE} lists" + (f": {', '.join(listed)}" if listed else "")


def _shown(address: str) -> str:
    return without_password(address)


def artifact_location(server: str) -> str | None:
    """The place for artifacts beside an SQLite file: MLflow would start an mlruns folder in the working directory."""
    path = sqlite_file(server)
    return None if path is None else (path.parent / "mlartifacts").as_uri()


def sqlite_file(server: str) -> Path | None:
    """The database file of an SQLite tracking URI, absolute; None for every other kind of URI."""
    prefix = "sqlite:///"
    if not server.startswith(prefix):
        return None
    return Path(server.removeprefix(prefix).partition("?")[0]).absolute()


def without_password(uri: str) -> str:
    """`uri` as it may be shown: without user and password, whatever characters they contain."""
    scheme, separator, rest = uri.partition("://")
    return uri if rest.startswith("/") else f"{scheme}{separator}{rest.rpartition('@')[2]}"
