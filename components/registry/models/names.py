"""Parser of model references: a registered version or alias, a folder, or a pinned hub model. No network."""

from __future__ import annotations

import re
from pathlib import Path

from calig.adapters import SETTINGS
from components.common.errors import InputError
from components.common.stores import is_address
from schemas.release import ModelRef, ModelSource

ALLOWED = "models:/NAME/VERSION, models:/NAME@alias, a folder with config.json, or a hub id with its revision: org/name@revision"

#: MLflow admits any character but / and : in a name, also the @ that stands before an alias.
_ALIAS = re.compile(r"^models:/(?P<name>[^/:]+)@(?P<alias>[\w.-]+)$")
_VERSION = re.compile(r"^models:/(?P<name>[^/:]+)/(?P<version>[^/@:]+)$")
_HUB = re.compile(r"^(?P<name>[\w.-]+(/[\w.-]+)?)@(?P<revision>[\w][\w./-]*)$")
_HUB_WITHOUT_REVISION = re.compile(r"^[\w-][\w.-]*(/[\w-][\w.-]*)?$")
_BRANCHES = {"main", "master", "head"}


def parse_model_ref(text: str) -> ModelRef:
    """The model that `text` names.

    Raises:
        InputError: when `text` is none of the forms in `ALLOWED`, or names something that moves (a branch, `latest`).
    """
    text = text.strip()
    if text.startswith("models:/"):
        return _registry_ref(text)
    if is_address(text):
        raise InputError("This kind of model address is not supported.", got=text, allowed=ALLOWED)
    path = Path(text).expanduser()
    if path.exists():
        return _folder_ref(path)
    return _hub_ref(text)


def _registry_ref(text: str) -> ModelRef:
    if match := _ALIAS.match(text):
        name, alias = match["name"], match["alias"]
        return ModelRef(uri=text, source=ModelSource.REGISTRY, name=_checked(name, text), alias=alias)
    match = _VERSION.match(text)
    if match is None:
        raise InputError("A registered model needs a version or an alias.", got=text, allowed=ALLOWED)
    name, version = _checked(match["name"], text), match["version"]
    if not version.isdecimal():
        raise _not_a_version(name, version, text)
    return ModelRef(uri=text, source=ModelSource.REGISTRY, name=name, version=str(int(version)))


def _checked(name: str, text: str) -> str:
    if name.strip(".") == "":
        raise InputError("This is not the name of a registered model.", got=text, allowed=ALLOWED)
    return name


def _not_a_version(name: str, version: str, text: str) -> InputError:
    if version.lower() == "latest":
        problem = "`latest` moves with every new version, so an explanation of it could not be pinned."
    else:
        problem = f"`{version}` is not a version number; stages are not supported."
    return InputError(
        problem, got=text, allowed=ALLOWED, next_step=f"name a version (models:/{name}/1) or an alias (models:/{name}@champion)"
    )


def _folder_ref(path: Path) -> ModelRef:
    if not path.is_dir():
        raise InputError("A model is a folder, this is a file.", got=path, allowed=ALLOWED)
    if not any((path / name).is_file() for name in ("config.json", SETTINGS)):
        raise InputError(
            "The folder has no config.json, so it is not a saved transformers model.",
            got=path,
            allowed=ALLOWED,
            next_step="save the model and its tokenizer or image processor there with save_pretrained",
        )
    folder = path.resolve()
    return ModelRef(uri=str(folder), source=ModelSource.FOLDER, name=folder.name)


def _hub_ref(text: str) -> ModelRef:
    match = _HUB.match(text)
    if match and match["revision"].lower() in _BRANCHES:
        raise _unpinned(match["name"], text)
    if match:
        return ModelRef(uri=text, source=ModelSource.HUB, name=match["name"], revision=match["revision"])
    if _HUB_WITHOUT_REVISION.match(text):
        raise _unpinned(text, text)
    raise InputError("No such folder, and not a model address either.", got=text, allowed=ALLOWED)


def _unpinned(name: str, text: str) -> InputError:
    return InputError(
        "No such folder, and a hub model must be pinned to a revision: a branch moves.",
        got=text,
        allowed=ALLOWED,
        next_step=f"append the commit (40 hex digits) or a tag: {name}@<revision>",
    )
