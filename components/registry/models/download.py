"""Download of model files: the needed ones, put into place once and whole, used only while they are what was downloaded."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from calig.adapters import SETTINGS, WEIGHTS
from calig.checkpoint import PICKLED, pickled_weights
from components.common.errors import CouldNotRunError, InputError, engine_errors
from components.common.file_digests import file_digest
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
    return file_digest(path) if path.is_file() and not path.is_symlink() else "not a file"


#: Files of models and processors, in whichever folder; code, pickles and weights in other formats never come along.
NEEDED = ("*.safetensors", "*.json", "*.txt", "*.model", "bpe.codes", "vocab*")
_MLMODEL = "MLmodel"
#: The largest download, in gigabytes.
VARIABLE = "CALIG_DOWNLOAD_GIGABYTES"
_DEFAULT_GB = 50.0
_GB = 1e9
_DEEPEST = 4
_MOST_FILES = 2000
_LISTED = 5


def download_model(repository: Any, folder: Path, what: str) -> None:
    """Bring the files of a logged model that are needed from MLflow's `repository` into `folder`.

    Raises:
        InputError: more than the limit, no folder of a model, or weights that are only there as pickles.
    """
    files = list(_files(repository, "", 0, what))
    if _is_without_safetensors(files):
        with engine_errors():
            raise pickled_weights([path for path, _ in files if _matches(path, PICKLED)])
    if adapters := _pickled_adapters(files):
        with engine_errors():
            raise pickled_weights(adapters, WEIGHTS)
    needed = [(path, size) for path, size in files if path == _MLMODEL or _matches(path, NEEDED)]
    check_size(needed, what)
    for path, _ in needed:
        got = Path(repository.download_artifacts(path, dst_path=str(folder)))
        wanted = folder / path
        if got.resolve() != wanted.resolve():
            wanted.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(got, wanted)


def check_size(files: list[tuple[str, int]], what: str) -> None:
    """Raise InputError when `files`, with their sizes in bytes, are more than may be downloaded."""
    total, limit_gb = sum(size for _, size in files), _limit_gb()
    if total <= limit_gb * _GB:
        return
    largest = sorted(files, key=lambda file: -file[1])[:_LISTED]
    listed = ", ".join(f"{path} {size / _GB:.1f} GB" for path, size in largest)
    raise InputError(
        "The model is larger than may be downloaded.",
        got=f"{what}: {total / _GB:.1f} GB in {len(files)} files, of which {listed}",
        allowed=f"{limit_gb:g} GB",
        next_step=f"when it is right: {VARIABLE}={total / _GB + 1:.0f}",
    )


def _limit_gb() -> float:
    given = os.environ.get(VARIABLE)
    if not given:
        return _DEFAULT_GB
    try:
        limit = float(given)
    except ValueError as error:
        raise InputError(f"{VARIABLE} is no number.", got=given, allowed=f"gigabytes, for example {_DEFAULT_GB:g}") from error
    return limit


def _files(repository: Any, folder: str, depth: int, what: str) -> Iterator[tuple[str, int]]:
    """Paths and sizes of all files, to a depth and number that no logged model needs more of."""
    for number, entry in enumerate(repository.list_artifacts(folder or None)):
        if number >= _MOST_FILES or depth > _DEEPEST:
            raise InputError(
                "The version's artifacts are no logged model.",
                got=f"{what}: more than {_MOST_FILES} files in a folder, or folders more than {_DEEPEST} deep",
                next_step="log the model alone, with mlflow.transformers.log_model",
            )
        if entry.is_dir:
            yield from _files(repository, str(entry.path), depth + 1, what)
        else:
            yield str(entry.path), int(entry.file_size or 0)


def _is_without_safetensors(files: list[tuple[str, int]]) -> bool:
    paths = [path for path, _ in files]
    has_model = any(path == "config.json" or path.endswith("/config.json") for path in paths)
    return (
        has_model and not any(_matches(path, ("*.safetensors",)) for path in paths) and any(_matches(p, PICKLED) for p in paths)
    )


def _pickled_adapters(files: list[tuple[str, int]]) -> list[str]:
    """Adapters that are only there as pickles, also beside a base that is not."""
    paths = {path for path, _ in files}
    folders = [path.removesuffix(SETTINGS) for path in paths if path.rpartition("/")[2] == SETTINGS]
    return sorted(
        path
        for folder in folders
        for path in paths
        if f"{folder}{WEIGHTS}" not in paths and path.startswith(f"{folder}adapter_model.") and _matches(path, PICKLED)
    )


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatch(name, pattern) for pattern in patterns)
