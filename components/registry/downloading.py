"""Download of a registered model: only the files that explaining needs, and only when they are not too large."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from calig.checkpoint import PICKLED, pickled_weights
from components.errors import InputError, engine_errors

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


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2]
    return any(fnmatch(name, pattern) for pattern in patterns)
