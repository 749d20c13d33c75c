"""Adapters among a version's files: where their base is, and both put together in one folder that the engine can open."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from calig.adapters import BASE, SETTINGS, is_adapter
from calig.checkpoint import read_settings
from components.common.errors import InputError, engine_errors
from components.common.file_digests import file_digest
from components.registry.addresses import VARIABLE, is_allowed_folder
from components.registry.models.download import place_once
from components.registry.models.folders import ORIGIN, base_files, is_processor_file, own_files
from components.registry.models.names import parse_model_ref
from schemas.base import digest_of
from schemas.release import ModelRef, folder_name

_ALLOWED = f"a folder {BASE}/ beside {SETTINGS} or of the version, models:/NAME/VERSION, a path, or a hub id with its revision"


class Base(NamedTuple):
    """An adapter's base: a folder on this machine, or a reference to be fetched; `uri` is what the record says of it."""

    folder: Path | None
    ref: ModelRef | None
    uri: str


def find_base(adapter: Path, *, within: Path | None, flavour: Mapping[str, Any], what: str) -> Base | None:
    """The base of the adapter in the folder `adapter`; None: it lies in that folder already.

    Args:
        within: the downloaded version that the adapter is of: folders outside are read only where the operator allows it. None: a
            folder of the user's own.
        flavour: of the version's MLmodel file, where MLflow keeps the base's place.
        what: the version, for messages.

    Raises:
        InputError: no base is named, there is none, or its name does not say which version of it.
    """
    if (adapter / BASE / "config.json").is_file():
        return None
    binary = flavour.get("model_binary")
    if within is not None and binary and (beside := _inside(within / str(binary), within)) and beside != adapter:
        return Base(beside, None, str(binary))
    with engine_errors():
        settings = read_settings(adapter, SETTINGS)
    named = str(flavour.get("local_base_model_path") or settings.get("base_model_name_or_path") or "").strip()
    for folder in [adapter / named, within / named] if within is not None and named else []:
        if found := _inside(folder, within):
            return Base(found, None, named)
    return _elsewhere(named, _revision(named, settings, flavour), adapter, within, what)


def assemble(adapter: Path, base: Path, base_uri: str, *, workspace: Path, name: str) -> Path:
    """A folder of the workspace with the adapter's files and the base in its subfolder, made once from these contents."""
    files = dict(_sources(adapter, base))
    origin = digest_of([base_uri, {file: file_digest(path) for file, path in files.items()}])
    place = workspace / "models" / folder_name(name) / f"with-base-{origin[:16]}"
    return place_once(place, origin=origin, fill=lambda folder: put_together(adapter, base, base_uri, folder))


def put_together(adapter: Path, base: Path, base_uri: str, folder: Path) -> None:
    """Fill `folder`, which is there and empty, with both and the base's processor.

    Files are linked where the file system can, so that a base takes its room once.
    """
    (folder / BASE).mkdir()
    for file, path in _sources(adapter, base):
        _link(path, folder / file)
    (folder / ORIGIN).write_text(base_uri, encoding="utf-8")


def _sources(adapter: Path, base: Path) -> Iterator[tuple[str, Path]]:
    if is_adapter(base):
        raise InputError(
            "The adapter's base is an adapter itself.", got=base, allowed="a base with weights of its own", next_step="merge it"
        )
    yield from ((path.name, path) for path in own_files(adapter))
    processor = [path for path in base.iterdir() if path.is_file() and is_processor_file(path.name)]
    yield from ((f"{BASE}/{path.name}", path) for path in dict.fromkeys([*base_files(base), *processor]) if path.is_file())


def _inside(folder: Path, within: Path | None) -> Path | None:
    """`folder`, when a model lies there and it is below `within`."""
    if within is None or not folder.resolve().is_relative_to(within.resolve()) or not (folder / "config.json").is_file():
        return None
    return folder


def _elsewhere(named: str, revision: str | None, adapter: Path, within: Path | None, what: str) -> Base:
    if not named:
        raise _no_base(f"{what} names none")
    if named.startswith("models:/"):
        return _of_registry(named, what)
    folder = _folder_named(named, adapter, anywhere=within is None)
    if folder is not None:
        return _local(folder.resolve(), within, what)
    if Path(named).is_absolute() or named.startswith((".", "~")):
        raise _no_base(f"{what} names {named}")
    if revision is None:
        raise InputError(
            "The adapter's base is a hub model without a revision: a branch moves.",
            got=f"{what} names {named}",
            allowed=_ALLOWED,
            next_step=f"write the commit that it was trained on into {SETTINGS} as `revision`, or put the base into {BASE}/",
        )
    ref = parse_model_ref(f"{named}@{revision}")
    return Base(None, ref, ref.uri)


def _folder_named(named: str, adapter: Path, *, anywhere: bool) -> Path | None:
    """The folder by its path; one from the adapter's folder or the working directory only for a folder of the user's own."""
    path = Path(named).expanduser()
    places = [adapter / path, path] if anywhere else [path] if path.is_absolute() else []
    return next((place for place in places if (place / "config.json").is_file()), None)


def _of_registry(named: str, what: str) -> Base:
    ref = parse_model_ref(named)
    if ref.alias is not None:
        raise InputError(
            "The adapter's base is named by an alias, which moves.",
            got=f"{what} names {named}",
            allowed="models:/NAME/VERSION",
            next_step=f"write the version that it was trained on into {SETTINGS}",
        )
    return Base(None, ref, ref.uri)


def _local(folder: Path, within: Path | None, what: str) -> Base:
    """Whoever may register a version could name any folder of this machine."""
    if within is not None and not is_allowed_folder(folder):
        raise InputError(
            "The adapter's base is a folder of this machine, outside the version: refused.",
            got=f"{what} names {folder}",
            allowed=f"{_ALLOWED}; a local path where {VARIABLE} lists it",
            next_step=f"log the base with the version, or when the folder is to be trusted: {VARIABLE}={folder}",
        )
    return Base(folder, None, str(folder))


def _revision(named: str, settings: Mapping[str, Any], flavour: Mapping[str, Any]) -> str | None:
    """The base's revision by the adapter, else by MLflow, which notes the commit of a base from a hub."""
    noted = flavour.get("source_model_revision") if flavour.get("source_model_name") == named else None
    revision = settings.get("revision") or noted
    return str(revision) if revision else None


def _no_base(got: str) -> InputError:
    return InputError(
        "The adapter's base model is missing.",
        got=got,
        allowed=_ALLOWED,
        next_step=f"log the base with the version, or name it in {SETTINGS} as base_model_name_or_path",
    )


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
