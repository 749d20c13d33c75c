"""Cache of downloaded folders: put into place once and whole, and used only while every file is what was downloaded."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.errors import CouldNotRunError, InputError
from schemas.base import digest_of

_LOG = logging.getLogger("calig.cache")
#: Beside the files: what they are a copy of, and the digest of each.
MANIFEST = ".calig-manifest.json"


def place_once(place: Path, *, origin: str, fill: Callable[[Path], None]) -> Path:
    """The folder `place`, filled by `fill` unless it already holds what `origin` stands for, whole and unchanged.

    Every file is hashed on each use: neither its size nor its time tells of a bit that a disk turned.

    `fill` writes into a new folder on the same disk, which takes its place by one rename: a reader sees all of it or
    nothing, and a download that broke off leaves nothing behind. Two processes may race; the later one's copy is dropped.

    Raises:
        CouldNotRunError: when the disk fails. What `fill` raises passes through.
    """
    if holds(place, origin):
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as temporary:
            fresh = Path(temporary) / "fresh"
            fresh.mkdir()
            fill(fresh)
            manifest = {"origin": origin, "files": _digests(fresh)}
            (fresh / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
            _take_place(fresh, place, origin, Path(temporary) / "outdated")
    except OSError as error:
        raise CouldNotRunError(
            "The download could not be stored.", got=f"{place}: {error}", next_step="check the disk and run again"
        ) from error
    return place


def refuse_links(folder: Path, what: str) -> None:
    """A download holds files and folders alone: a link in it could stand for any file of this machine.

    Raises:
        InputError: there is a link, a socket, a device or a pipe.
    """
    strange = [path for path in folder.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if strange:
        named = ", ".join(path.relative_to(folder).as_posix() for path in strange[:5])
        raise InputError(
            "A downloaded model holds something that is neither file nor folder.",
            got=f"{what}: {named}",
            next_step="log the model again as plain files",
        )


def holds(place: Path, origin: str) -> bool:
    """Whether `place` holds what `origin` stands for; one line is logged when it did and its files have changed since."""
    changed = _changed(place, origin)
    if changed:
        _LOG.warning("%s changed since it was downloaded (%s): it is fetched again", place, ", ".join(changed[:5]))
    return changed == []


def _changed(place: Path, origin: str) -> list[str] | None:
    """Files that are not what was downloaded; None when the place never held this."""
    manifest = _manifest(place)
    if manifest.get("origin") != origin:
        return None
    noted, found = manifest["files"], _digests(place)
    return sorted(name for name in found.keys() | noted.keys() if found.get(name) != noted.get(name))


def content_digest(place: Path) -> str:
    """SHA-256 over the names and contents of all files of a folder that `place_once` returned: they were hashed by then."""
    return digest_of(_manifest(place)["files"])


def _take_place(fresh: Path, place: Path, origin: str, outdated: Path) -> None:
    if _changed(place, origin) == []:  # another process was faster
        return
    if place.exists():
        shutil.move(place, outdated)
    fresh.rename(place)


def _manifest(place: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else {}


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path there; of a link, that it is one."""
    paths = [path for path in folder.rglob("*") if not path.is_dir() and path != folder / MANIFEST]
    return {path.relative_to(folder).as_posix(): _digest(path) for path in paths}


def _digest(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "not a file"
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
