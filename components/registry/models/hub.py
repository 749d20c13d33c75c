"""Bring a pinned model from the Hugging Face hub into the workspace."""

from __future__ import annotations

import shutil
from pathlib import Path

from components.common.errors import CouldNotRunError, InputError
from components.registry.models.download import NEEDED, check_size, holds, place_once
from schemas.release import ModelRef

_COMMIT_DIGITS = 40


def hub_snapshot_folder(ref: ModelRef, workspace: Path) -> tuple[Path, str]:
    """The folder of the hub model and the commit its revision stands for.

    Copied out of the hub's cache, so that workers that share only the workspace find it.

    Raises:
        InputError: no such model or revision. CouldNotRunError: the hub does not answer.
    """
    place = workspace / "models" / ref.name.replace("/", "--")
    revision = str(ref.revision)
    if _is_commit(revision) and holds(place / revision, f"{ref.name}@{revision}"):
        return place / revision, revision
    cached = _download(ref.name, revision)
    folder = place_once(place / cached.name, origin=f"{ref.name}@{cached.name}", fill=lambda fresh: _copy(cached, fresh))
    return folder, cached.name


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _is_commit(revision: str) -> bool:
    return len(revision) == _COMMIT_DIGITS and all(digit in "0123456789abcdef" for digit in revision)


def _download(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        _check_size(name, revision)
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(NEEDED)))
    except RevisionNotFoundError as error:
        raise InputError(
            f"The hub model {name} has no revision {revision!r}.", next_step="take a commit or a tag from the model's page"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(
            f"The hub has no model {name!r}, or it is private.", got=error, next_step="check the name, or set HF_TOKEN"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise CouldNotRunError(
            f"The hub model {name} could not be downloaded and is not in the local cache.",
            got=error,
            next_step="check the network (and that HF_HUB_OFFLINE is not set), or give a folder that holds the model",
        ) from error


def _check_size(name: str, revision: str) -> None:
    from huggingface_hub import snapshot_download

    try:
        files = snapshot_download(name, revision=revision, allow_patterns=list(NEEDED), dry_run=True)
    except (OSError, ValueError):  # the hub does not answer, or not well: the download says so, or has a copy
        return
    check_size([(file.filename, file.file_size or 0) for file in files if file.will_download], f"{name}@{revision}")
