"""Prefect's storage of shard results: in the store beside their tables, so that every worker finds what is finished."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from prefect.filesystems import RemoteFileSystem

from components.common.errors import CouldNotRunError
from schemas.base import digest_of


def storage_in(store: str | None) -> str | Path | None:
    """A Prefect result storage inside `store`; None: Prefect's own.

    For a file system that is not local this is a block named after the store, registered with the Prefect server. It holds the
    address alone: credentials come from the environment of each process.

    Raises:
        CouldNotRunError: the block cannot be registered.
    """
    if store is None:
        return None
    parts = urlsplit(store)
    if parts.scheme in {"file", "local"}:
        return Path(url2pathname(parts.path)) / "prefect"
    return _block(f"{store.rstrip('/')}/prefect", os.getpid())


@lru_cache(maxsize=4)
def _block(address: str, _process: int) -> str:
    name = f"calig-{digest_of(address)[:16]}"
    try:
        RemoteFileSystem(basepath=address).save(name, overwrite=True)
    except Exception as error:
        raise CouldNotRunError(
            f"the store could not be made known to Prefect: {type(error).__name__}: {error}",
            got=address,
            next_step="check the address, and that the Prefect server answers",
        ) from error
    return f"remote-file-system/{name}"
