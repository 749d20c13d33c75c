"""Loading an expectation suite from YAML: nothing is dropped silently, and every error names the expectation and its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from components.errors import InputError
from schemas.suite import ExpectationSpec, Suite

_BUILT_IN = files("schemas") / "expectations"
_BOUNDS = {"min_value", "max_value"}


@dataclass(frozen=True)
class LoadedSuite:
    """A suite with its Great Expectations objects, one per expectation and in the same order."""

    spec: Suite
    expectations: tuple[Any, ...]


@dataclass(frozen=True)
class _File:
    """Where a suite was read from, and its YAML tree, which knows the lines."""

    name: str
    root: yaml.Node

    def error(self, problem: str, place: Sequence[str | int], **details: Any) -> InputError:
        return InputError(f"{self.name}, line {_line(self.root, place)}: {problem}", **details)


def load_suite(suite: str, *, columns: Sequence[str] | None = None) -> LoadedSuite:
    """The suite called `suite`: a built-in name or the path of a YAML file (format: schemas/suite.py).

    Raises:
        InputError: no such suite, unknown expectation, mistyped or missing argument, empty suite, or an expectation over
            a column that `columns`, when given, does not list.
    """
    file, content = _read(suite)
    try:
        spec = Suite.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"]
        name = ".".join(str(part) for part in place) or "suite"
        raise file.error(f"{name}: {first['msg']}", place, next_step="compare it with the built-in suite `default`") from error
    built = tuple(_build(file, index, one, columns) for index, one in enumerate(spec.expectations))
    return LoadedSuite(spec, built)


def built_in_suites() -> list[str]:
    """Names of the suites that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _BUILT_IN.iterdir() if entry.name.endswith(".yaml"))


def _read(suite: str) -> tuple[_File, Any]:
    source = _BUILT_IN / f"{suite}.yaml" if suite in built_in_suites() else Path(suite)
    try:
        text = source.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        allowed = f"{', '.join(built_in_suites())}, or the path of a YAML file"
        raise InputError("cannot read the expectation suite", got=error, allowed=allowed) from error
    except yaml.YAMLError as error:
        raise InputError(f"the expectation suite {suite} is not valid YAML", got=error) from error
    if root is None:
        raise InputError(f"the expectation suite {suite} is empty", next_step="copy the built-in suite `default` and edit it")
    return _File(suite, root), content


def _build(file: _File, index: int, spec: ExpectationSpec, columns: Sequence[str] | None) -> Any:
    """The Great Expectations object of one expectation."""
    place = ("expectations", index)
    title = f"expectation {spec.meta.name!r}"
    implementation = _implementation(file, place, title, spec.type)
    _check_arguments(file, place, title, spec, columns)
    try:
        return implementation(**spec.kwargs, severity=spec.severity.value, meta={"name": spec.meta.name})
    except (ValueError, TypeError) as error:  # the library validates with pydantic 1, whose errors are ValueErrors
        argument, message = _first_problem(error)
        known = sorted({*implementation.args_keys, *implementation.success_keys})
        raise file.error(f"{title}: {message}", (*place, "kwargs", argument), allowed=", ".join(known)) from error


def _implementation(file: _File, place: tuple[str, int], title: str, type_: str) -> Any:
    from components.quality.expectations import (
        ExpectationNotFoundError,
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    try:
        return get_expectation_impl(type_)
    except ExpectationNotFoundError as error:
        close = get_close_matches(type_, list_registered_expectation_implementations(), n=1)
        hint = f"did you mean {close[0]}?" if close else "see the expectations of Great Expectations"
        raise file.error(f"{title}: unknown type", (*place, "type"), got=type_, next_step=hint) from error


def _check_arguments(
    file: _File, place: tuple[str, int], title: str, spec: ExpectationSpec, columns: Sequence[str] | None
) -> None:
    """Refuse what the library accepts and could never judge: columns that do not exist, ranges without bounds."""
    column = spec.kwargs.get("column")
    if columns is not None and column is not None and column not in columns:
        raise file.error(
            f"{title}: the table has no such column", (*place, "kwargs", "column"), got=column, allowed=", ".join(columns)
        )
    ranged = spec.type.endswith("_to_be_between") and "quantile_ranges" not in spec.kwargs
    if ranged and not any(spec.kwargs.get(bound) is not None for bound in _BOUNDS):
        mistyped = next((name for name in spec.kwargs if get_close_matches(name, _BOUNDS) and name not in _BOUNDS), "")
        got = mistyped or None
        raise file.error(f"{title}: a range without min_value or max_value", (*place, "kwargs", mistyped), got=got)


def _first_problem(error: Exception) -> tuple[str, str]:
    """Argument and message of the library's first complaint; mistyped arguments before missing ones."""
    problems = error.errors() if hasattr(error, "errors") else []
    if not problems:
        return "", str(error)
    extra = [problem for problem in problems if problem["type"] == "value_error.extra"]
    first = (extra or problems)[0]
    argument = str(first["loc"][0])
    return argument, f"argument {argument!r}: {first['msg']}"


def _line(node: yaml.Node, place: Sequence[str | int]) -> int:
    """Line (from 1) of the deepest part of `place` that exists below `node`."""
    line = node.start_mark.line + 1
    for part in place:
        child = _child(node, part)
        if child is None:
            break
        line, node = child
    return line


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line + 1, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None
