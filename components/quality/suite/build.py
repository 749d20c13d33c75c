"""One expectation of a suite as a Great Expectations object; refused, with its line, when it could never be judged."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from components.common.errors import InputError
from components.quality.scores.frame import CONTROLS
from components.quality.suite.expand import CONTROL, columns_of, condition_columns
from components.quality.suite.file import SuiteFile
from components.quality.suite.own import import_expectation
from schemas.suite import ExpectationSpec

_BOUNDS = {"min_value", "max_value"}


@dataclass(frozen=True)
class _Entry:
    """An expectation as it stands in its file."""

    file: SuiteFile
    index: int
    spec: ExpectationSpec
    modules: Collection[str]

    def error(self, problem: str, *place: str, **details: Any) -> InputError:
        """An error about the part of the expectation at `place`, e.g. "kwargs", "column"."""
        title = f"expectation {self.spec.meta.name!r}"
        return self.file.error(f"{title}: {problem}", ("expectations", self.index, *place), **details)


def build(
    file: SuiteFile, index: int, spec: ExpectationSpec, columns: Sequence[str] | None, modules: Collection[str] = ()
) -> Any:
    """The Great Expectations object of expectation `index`; InputError (see `load_suite`) when there is none."""
    entry = _Entry(file, index, spec, modules)
    implementation = _implementation(entry)
    _check_range(entry, implementation)
    try:
        expectation = implementation(**spec.kwargs, severity=spec.severity.value, meta={"name": spec.meta.name})
    except (ValueError, TypeError) as error:  # the library validates with pydantic 1, whose errors are ValueErrors
        argument, message = _first_problem(error)
        known = sorted({*implementation.args_keys, *implementation.success_keys, *implementation.domain_keys})
        raise entry.error(message, "kwargs", argument, allowed=", ".join(known)) from error
    _check_for_each(entry, expectation)
    if columns is not None:
        _check_columns(entry, expectation, columns)
        _check_segment(entry, columns)
    return expectation


def source_of_class(expectation: Any) -> str:
    """The source of the module that an expectation's class comes from; empty when there is none to read."""
    try:
        return inspect.getsource(inspect.getmodule(type(expectation)))  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""


def _implementation(entry: _Entry) -> Any:
    from components.quality.suite.expectations import (
        ExpectationNotFoundError,
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    type_ = entry.spec.type
    if ":" in type_:
        return import_expectation(
            type_, entry.file.folder, entry.modules, lambda problem, **details: entry.error(problem, "type", **details)
        )
    try:
        return get_expectation_impl(type_)
    except ExpectationNotFoundError as error:
        close = get_close_matches(type_, list_registered_expectation_implementations(), n=1)
        hint = f"did you mean {close[0]}?" if close else "see the expectations of Great Expectations; your own is module:Class"
        raise entry.error("unknown type", "type", got=type_, next_step=hint) from error


def _check_range(entry: _Entry, implementation: Any) -> None:
    """Refuse ranges without bounds, and with bounds that no number lies between: the library accepts both."""
    given = entry.spec.kwargs
    low, high = (given.get(name, _default(implementation, name)) for name in ("min_value", "max_value"))
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low > high:
        raise entry.error("min_value is above max_value", "kwargs", "min_value", got=f"{low} and {high}")
    ranged = implementation.expectation_type.endswith("_to_be_between") and "quantile_ranges" not in given
    if ranged and low is None and high is None:
        mistyped = next((name for name in given if get_close_matches(name, _BOUNDS) and name not in _BOUNDS), "")
        raise entry.error("a range without min_value or max_value", "kwargs", mistyped, got=mistyped or None)


def _default(implementation: Any, argument: str) -> Any:
    field = implementation.__fields__.get(argument)
    return None if field is None else field.default


def _check_for_each(entry: _Entry, expectation: Any) -> None:
    """Refuse an expectation that would be the same for each class, segment or control."""
    for_each = entry.spec.for_each
    if for_each == "control":
        if not any(CONTROL in column for of in columns_of(expectation).values() for column in of):
            raise entry.error("no column names the control", "for_each", allowed=f"for example column: margin_over_{CONTROL}")
    elif for_each is not None and "row_condition" not in type(expectation).__fields__:
        raise entry.error("its type judges all rows at once and cannot be repeated", "for_each", got=entry.spec.type)


def _check_columns(entry: _Entry, expectation: Any, columns: Sequence[str]) -> None:
    names = CONTROLS if entry.spec.for_each == "control" else ("",)
    for argument, wanted in columns_of(expectation).items():
        for column in wanted:
            if not any(column.replace(CONTROL, name) in columns for name in names):
                raise entry.error("the table has no such column", "kwargs", argument, **_known(column, columns))
    for column in condition_columns(entry.spec.kwargs.get("row_condition")):
        if column not in columns:
            raise entry.error("the table has no such column", "kwargs", "row_condition", **_known(column, columns))


def _check_segment(entry: _Entry, columns: Sequence[str]) -> None:
    for_each = entry.spec.for_each or ""
    if for_each.startswith("segment_") and for_each not in columns:
        segments = [column for column in columns if column.startswith("segment_")]
        allowed = ", ".join(segments) or "none: the data set has no segments"
        raise entry.error("the data set has no such segment", "for_each", got=for_each, allowed=allowed)


def _known(column: str, columns: Sequence[str]) -> dict[str, str]:
    close = get_close_matches(column, columns, n=1)
    details = {"got": column, "allowed": ", ".join(columns)}
    return details | ({"next_step": f"did you mean {close[0]}?"} if close else {})


def _first_problem(error: Exception) -> tuple[str, str]:
    """Argument and message of the library's first complaint; mistyped arguments before missing ones."""
    problems = error.errors() if hasattr(error, "errors") else []
    if not problems:
        return "", str(error)
    extra = [problem for problem in problems if problem["type"] == "value_error.extra"]
    first = (extra or problems)[0]
    argument = str(first["loc"][0])
    return argument, f"argument {argument!r}: {first['msg']}"
