"""Expectation suites: which one judges a run, and from YAML to Great Expectations objects."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from pydantic import ValidationError

from components.quality.suite.build import build, source_of_class
from components.quality.suite.file import SuiteFile, built_in_suites, read_suite_file
from schemas.quality import Suite

__all__ = ["LoadedSuite", "built_in_suites", "load_suite", "suite_digest", "suite_for"]

_BY_MODALITY = {"text": "default", "image": "vision"}


@dataclass(frozen=True)
class LoadedSuite:
    """A suite with its Great Expectations objects, one per expectation and in the same order."""

    spec: Suite
    expectations: tuple[Any, ...]


def suite_for(setting: str, modality: Literal["text", "image"]) -> str:
    """The suite that the setting `quality.suite` means for a model of this modality: itself, unless it is `auto`."""
    return _BY_MODALITY[modality] if setting == "auto" else setting


def load_suite(suite: str, *, columns: Sequence[str] | None = None, modules: Collection[str] = ()) -> LoadedSuite:
    """The suite called `suite`: a built-in name or the path of a YAML file (format: schemas/quality.py).

    An expectation of the user's own, `type: module:Class`, is imported when its module is one of `modules` (`listed_modules`):
    that runs the module's code.

    Raises:
        InputError: no such suite, unknown, unlisted or unimportable expectation, mistyped or missing argument, empty suite, two
            expectations of one name, or an expectation over a column that `columns`, when given, does not list.
    """
    file = read_suite_file(suite)
    spec = _checked(file)
    return LoadedSuite(spec, tuple(build(file, index, one, columns, modules) for index, one in enumerate(spec.expectations)))


def suite_digest(suite: str, modules: Collection[str] = ()) -> str:
    """SHA-256 over all that decides what `suite` judges: its expectations, and the source of imported classes.

    Loads Great Expectations only when a class is imported, which must be of one of `modules`.

    Raises:
        InputError: no such suite, or one that is no suite, or a class that cannot be imported; arguments are not looked at.
    """
    file = read_suite_file(suite)
    spec = _checked(file)
    content = json.dumps(spec.model_dump(mode="json"), sort_keys=True, default=str)
    imported = [build(file, index, one, None, modules) for index, one in enumerate(spec.expectations) if ":" in one.type]
    return sha256("\n".join([content, *map(source_of_class, imported)]).encode()).hexdigest()


def _checked(file: SuiteFile) -> Suite:
    try:
        spec = Suite.model_validate(file.content)
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"]
        name = ".".join(str(part) for part in place) or "suite"
        message = first["msg"].removeprefix("Value error, ")
        raise file.error(f"{name}: {message}", place, next_step="compare it with the built-in suite `default`") from error
    _refuse_repeated_names(file, spec)
    return spec


def _refuse_repeated_names(file: SuiteFile, spec: Suite) -> None:
    names = [expectation.meta.name for expectation in spec.expectations]
    for index, name in enumerate(names):
        if name in names[:index]:
            place = ("expectations", index, "meta", "name")
            raise file.error(f"another expectation is called {name!r} too", place, next_step="give each its own name")
