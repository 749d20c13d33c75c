"""Settings that a tag chose: whatever grants trust or reaches out stays as the operator's own settings have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.errors import InputError
from components.watching.asking import inside
from schemas.trigger import Tag

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
)
#: Settings that name a file.
_FILES = (("quality", "suite"), ("probe", "word_list"))

Settings = Mapping[str, Any]


def tagged_settings(tagged: Settings, operators: Settings, roots: Sequence[Path], built_in: Sequence[str]) -> dict[str, Any]:
    """The settings of a file that a tag chose, with the operator's in place of what is the operator's alone.

    Args:
        tagged: the settings in that file.
        operators: those of the watch file, or none.
        roots: folders in which the file may name suites and word lists.
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
