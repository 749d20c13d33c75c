"""Addresses of tracking servers and stores, taken apart and shown without their passwords."""

from __future__ import annotations

from pathlib import Path


def artifact_location(tracking_uri: str) -> str | None:
    """The place for artifacts beside an SQLite file: MLflow would start an mlruns folder in the working directory."""
    path = sqlite_file(tracking_uri)
    return None if path is None else (path.parent / "mlartifacts").as_uri()


def sqlite_file(tracking_uri: str) -> Path | None:
    """The database file of an SQLite tracking URI, absolute; None for every other kind of URI."""
    prefix = "sqlite:///"
    if not tracking_uri.startswith(prefix):
        return None
    return Path(tracking_uri.removeprefix(prefix).partition("?")[0]).absolute()


def without_password(uri: str) -> str:
    """`uri` as it may be shown: without user and password, whatever characters they contain."""
    scheme, separator, rest = uri.partition("://")
    return uri if rest.startswith("/") else f"{scheme}{separator}{rest.rpartition('@')[2]}"
