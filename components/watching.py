"""Rules for a watched version: what it is explained with, which tags count, and when a failed run is tried again.

Settings that grant trust stay the operator's.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from components.common.errors import InputError, shortened
from components.common.file_digests import file_digest
from components.common.plain_text import on_one_line
from components.common.secrets import hidden
from schemas.config import WORD_FILES
from schemas.tags import Tag
from schemas.trigger import ExplainWith, WatchConfig, WatchedVersion

_MOST = 500


def clean_reason(text: str) -> str:
    """`text` on one line of at most 500 characters, without secrets and control characters."""
    return shortened(on_one_line(hidden(text)), _MOST)


_LONGEST_PAUSE_S = 3600.0
#: Prefect puts the error's type before its message. What the user has to mend fails again in the same way.
_USERS_TO_MEND = re.compile(r"\bInputError: ")


class After(NamedTuple):
    """`give_up`, or try again at `at`."""

    give_up: bool
    at: datetime


def after_failure(message: str, attempt: int, died_at: datetime, watch: WatchConfig) -> After:
    """What to do after attempt number `attempt` (from 1) died with `message`."""
    hopeless = _USERS_TO_MEND.search(message) is not None
    pause_s = min(watch.backoff_s * 2.0 ** min(attempt - 1, 16), _LONGEST_PAUSE_S)
    return After(hopeless or attempt >= watch.max_attempts, died_at + timedelta(seconds=pause_s))


#: Sections that are the operator's alone: whose keys count, what a gate asks for, who is told, where work and texts go.
_SECTIONS = frozenset({"governance", "gate", "alerts", "execution", "privacy"})
#: Single settings that are: which code may run, what may loosen a limit, and how far.
_SETTINGS = (
    ("quality", "expectation_modules"),
    ("drift", "twins"),
    ("drift", "twin_tags"),
    ("drift", "noise_cap"),
    ("probe", "twins"),
    ("probe", "noise_cap"),
    ("probe", "across_versions"),
    ("probe", "level_floor"),
)
#: Settings that name a file.
_FILES = (("quality", "suite"), *WORD_FILES)

Settings = Mapping[str, Any]


def tagged_settings(tagged: Settings, operators: Settings, roots: Sequence[Path], built_in: Sequence[str]) -> dict[str, Any]:
    """The settings of a file that a tag chose, with the operator's in place of what is the operator's alone.

    Args:
        tagged: the settings in that file.
        operators: those of the watch file, or none.
        roots: folders in which the file may name suites, word lists and word sets.
        built_in: names of suites that come with calig.

    Raises:
        InputError: the file sets what is the operator's alone, or names a file outside `roots`.
    """
    taken = sorted([*(_SECTIONS & set(tagged)), *(".".join(place) for place in _SETTINGS if _has(tagged, place))])
    if taken:
        raise InputError(
            f"settings chosen by the tag {Tag.CONFIG.value} set what only the operator may set",
            got=", ".join(taken),
            next_step="set it in the settings file that the watch file names, and remove it from this one",
        )
    settings = {name: dict(section) if isinstance(section, Mapping) else section for name, section in tagged.items()}
    for (section, name), text in _named_files(settings):
        if text not in built_in:
            what = f"the setting {section}.{name}, chosen by the tag {Tag.CONFIG.value},"
            settings[section][name] = str(inside(text, what, roots, "settings_roots"))
    return _with_operators(settings, operators)


def _named_files(settings: Settings) -> Iterator[tuple[tuple[str, str], str]]:
    for section, name in _FILES:
        if _has(settings, (section, name)) and settings[section][name] is not None:
            yield (section, name), str(settings[section][name])


def _with_operators(settings: dict[str, Any], operators: Settings) -> dict[str, Any]:
    for section in _SECTIONS & set(operators):
        settings[section] = operators[section]
    for section, name in _SETTINGS:
        if _has(operators, (section, name)):
            settings[section] = {**(settings.get(section) or {}), name: operators[section][name]}
    return settings


def _has(settings: Settings, place: tuple[str, str]) -> bool:
    section, name = place
    return isinstance(settings.get(section), Mapping) and name in settings[section]


_REGISTERED = "models:/"
_WATCH_FILE, _DEFAULT = "watch file", "default"

#: The tags that choose something, and what of `ExplainWith` they choose.
_CHOOSING = {Tag.DATASET: "dataset", Tag.CONFIG: "config", Tag.REFERENCE: "reference", Tag.TWIN_OF: ""}


class Asked(NamedTuple):
    """What counts for a version, who chose it, and which of its tags do not count."""

    explain_with: ExplainWith
    chosen_by: dict[str, str]
    ignored: tuple[Tag, ...]

    @property
    def config_by_tag(self) -> bool:
        """Whether a tag chose the settings."""
        return self.chosen_by["config"] == _by(Tag.CONFIG)


def asked_for(version: WatchedVersion, entry: ExplainWith, watch: WatchConfig) -> Asked:
    """`entry`, with what the admitted tags say instead.

    Raises:
        InputError: an admitted tag names a path outside its folders, nothing that exists there, or no registered version.
    """
    chosen_by = {name: _DEFAULT if getattr(entry, name) is None else _WATCH_FILE for name in ("dataset", "config", "reference")}
    asked: dict[str, object] = {}
    for tag, text in _set_tags(version):
        field = _CHOOSING[tag]
        if is_admitted(tag, watch) and field:
            asked[field] = _value(tag, text, watch)
            chosen_by[field] = _by(tag)
    return Asked(entry.model_copy(update=asked), chosen_by, ignored_tags(version, watch))


def ignored_tags(version: WatchedVersion, watch: WatchConfig) -> tuple[Tag, ...]:
    """The tags of a version, or of its model, that would choose something and are not admitted."""
    return tuple(tag for tag, _ in _set_tags(version) if not is_admitted(tag, watch))


def is_admitted(tag: Tag, watch: WatchConfig) -> bool:
    """Whether the operator lets `tag` choose."""
    return tag.value.removeprefix("calig.") in watch.tags


def inside(text: str, what: str, roots: Sequence[Path], setting: str) -> Path:
    """The file or folder that `text` names below one of `roots`, links followed; `setting` of the watch file lists them.

    Outside of all roots is refused before it is known whether anything is there.

    Raises:
        InputError: there are no roots, or nothing of this name below them.
    """
    if not roots:
        raise InputError(
            f"{what} names a path, and tags may name none here", got=text, next_step=f"set {setting} in the watch file"
        )
    found = [path for root in roots if (path := _below(root, text)) is not None]
    if not found:
        allowed = ", ".join(str(root) for root in roots)
        raise InputError(f"{what} names a path outside the allowed folders", got=text, allowed=allowed)
    for path in found:
        if path.exists():
            return path
    raise InputError(f"{what} names what does not exist", got=text, allowed=f"a path inside {setting}")


def _set_tags(version: WatchedVersion) -> list[tuple[Tag, str]]:
    return [(tag, text) for tag in _CHOOSING if (text := version.asked(tag)) is not None]


def _value(tag: Tag, text: str, watch: WatchConfig) -> object:
    if tag is Tag.REFERENCE:
        return _registered(text)
    roots, setting = (watch.data_roots, "data_roots") if tag is Tag.DATASET else (watch.settings_roots, "settings_roots")
    return inside(text, f"the tag {tag.value}", roots, setting)


def _by(tag: Tag) -> str:
    return f"tag {tag.value}"


def _below(root: Path, text: str) -> Path | None:
    """`text` as a path inside `root`, with all links followed; None: it is not inside."""
    try:
        real_root = root.expanduser().resolve(strict=True)
        path = (real_root / text).resolve()
    except (OSError, RuntimeError, ValueError):  # no such root, a loop of links, a NUL byte
        return None
    return path if path.is_relative_to(real_root) else None


def _registered(text: str) -> str:
    if not text.startswith(_REGISTERED):
        raise InputError(
            f"the tag {Tag.REFERENCE.value} must name a registered version",
            got=text,
            allowed="models:/NAME/VERSION or models:/NAME@alias",
        )
    return text


#: A saved data set of more files than this is refused; its shards are of about 500 MB each.
_MOST_FILES = 1000
#: Every folder that `datasets` saves has it.
_SAVED = "state.json"
_FORMS = "a file, or a folder written by datasets.save_to_disk"


def digest_of_data(path: Path, most_bytes: int) -> str:
    """SHA-256 of a data set's file, or of the names and contents of the files of a saved `datasets` folder.

    Pictures that a table only names are not covered: name the data set anew when they change.

    Raises:
        InputError: it does not exist, cannot be read, is another folder, or is larger than `most_bytes`.
    """
    if not path.is_dir():
        _check_size([path], most_bytes, path)
        return digest_of_file(path, "data set")
    if not (path / _SAVED).is_file():
        raise InputError("the data set is a folder that is no saved data set", got=path, allowed=_FORMS)
    files = list(islice((one for one in path.rglob("*") if one.is_file()), _MOST_FILES + 1))
    if len(files) > _MOST_FILES:
        raise InputError(f"the data set is a folder of more than {_MOST_FILES} files", got=path, allowed=_FORMS)
    _check_size(files, most_bytes, path)
    parts = hashlib.sha256()
    for file in sorted(files):
        parts.update(f"{file.relative_to(path).as_posix()}\0{digest_of_file(file, 'data set')}\0".encode())
    return parts.hexdigest()


def digest_of_file(path: Path, what: str) -> str:
    """SHA-256 of a regular file's bytes; InputError, calling it `what`, when there is none or it cannot be read."""
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):
            raise InputError(f"the {what} is no regular file", got=path, allowed=_FORMS)
        return _digest(path, known.st_size, known.st_mtime_ns)
    except OSError as error:
        raise InputError(f"the {what} cannot be read", got=f"{path}: {error.strerror}", next_step="correct its path") from error


def _check_size(files: list[Path], most_bytes: int, path: Path) -> None:
    total = sum(_size(file) for file in files)
    if total > most_bytes:
        raise InputError(
            "the data set is larger than the watch file allows",
            got=f"{path}: {total:,} bytes",
            allowed=f"{most_bytes:,} bytes (dataset_limit_bytes)",
        )


def _size(file: Path) -> int:
    """0 for what cannot be looked at: `digest_of_file` says so."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    return file_digest(path)
