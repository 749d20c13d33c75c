"""Addresses of tracking servers and stores, taken apart and shown without their passwords."""

from __future__ import annotations

from pathlib import Path


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
