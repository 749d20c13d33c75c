"""Tells addresses (`models:/NAME/1`, `s3://…`) from paths: what looks like an address is never looked up in the file system."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from fsspec.core import url_to_fs

from components.common.errors import CouldNotRunError, InputError

_SCHEME = re.compile(r"^\s*[a-z][a-z0-9+.-]*:/", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether `text` begins like an address. A folder of such a name is reached as `./models:/…`."""
    return _SCHEME.match(text) is not None


#: What gives fsspec the file system of an address, where that is not in its own package.
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class Store:
    """Files by name under `url`; credentials come from the file system's own environment variables, never from the address.

    Raises:
        InputError: no such kind of file system, or its package is not installed.
        CouldNotRunError: of every method, when the file system cannot be reached or refuses.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        kind = url.split("://", maxsplit=1)[0] if "://" in url else "file"
        try:
            self._system, self._root = url_to_fs(self.url)
        except ImportError as error:
            package = _PACKAGES.get(kind, "its fsspec package")
            raise InputError(f"stores of kind {kind!r} need {package}", got=url, next_step=f"pip install {package}") from error
        except ValueError as error:
            raise InputError(f"the store's address cannot be used: {error}", got=url, allowed=_ALLOWED) from error

    def put(self, local: Path, name: str) -> None:
        """Store a file; where the file system can rename, it is there whole or not at all."""
        with self._reached(name) as path:
            if self._is_object_store():  # writes of an object are whole by themselves, and a rename would be a copy
                self._system.put_file(str(local), path)
                return
            self._system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            part = f"{path}.part-{uuid4().hex}"
            self._system.put_file(str(local), part)
            self._system.mv(part, path)

    def get(self, name: str, local: Path) -> None:
        """Bring a file here, whole or not at all; CouldNotRunError also when there is none."""
        part = local.with_name(f"{local.name}.part-{uuid4().hex}")
        local.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._reached(name) as path:
                self._system.get_file(path, str(part))
            part.replace(local)
        finally:
            part.unlink(missing_ok=True)

    def names(self, folder: str) -> set[str]:
        """Names of all files below `folder`; none when there is no such folder."""
        with self._reached(folder) as path:
            self._system.invalidate_cache()
            prefix = len(str(self._root).rstrip("/")) + 1
            return {str(found)[prefix:] for found in self._system.find(path)}

    def _is_object_store(self) -> bool:
        protocols: Any = self._system.protocol
        return bool({protocols} & set(_PACKAGES) if isinstance(protocols, str) else set(protocols) & set(_PACKAGES))

    @contextmanager
    def _reached(self, name: str) -> Iterator[str]:
        try:
            yield f"{str(self._root).rstrip('/')}/{name}"
        except Exception as error:  # every file system has errors of its own
            raise CouldNotRunError(
                f"the store {self.url} could not be used for {name}: {type(error).__name__}: {error}",
                next_step="check that it can be reached, its credentials, and the space left",
            ) from error


_ALLOWED = "s3://bucket/folder, gs://bucket/folder, file:///folder, or another file system that fsspec knows"
