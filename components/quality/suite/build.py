"""Expectations of a suite as Great Expectations objects, one per class, segment or control with `for_each`.

One that could never be judged is refused with its line.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from calig.metrics.perturbation import BoolArray
from components.common.errors import InputError
from components.quality.scores.frame import CONTROLS, SEGMENT, Table
from components.quality.suite.file import SuiteFile
from components.quality.suite.own import import_expectation
from schemas.quality import ExpectationSpec, Slice

#: Stands for the name of each control in the columns of an expectation with `for_each: control`.
CONTROL = "{control}"
_ARGUMENTS = ("column", "column_A", "column_B", "column_list")


def columns_of(expectation: Any) -> dict[str, tuple[str, ...]]:
    """The columns that an expectation looks at, by the argument that names them."""
    given = {name: getattr(expectation, name, None) for name in _ARGUMENTS}
    return {name: (value,) if isinstance(value, str) else tuple(value) for name, value in given.items() if value}


def for_control(expectation: Any, control: str) -> dict[str, Any]:
    """The column arguments of an expectation with `for_each: control`, for one control."""
    filled = {name: [column.replace(CONTROL, control) for column in of] for name, of in columns_of(expectation).items()}
    return {name: of if name == "column_list" else of[0] for name, of in filled.items()}


def condition_columns(condition: Any) -> Iterator[str]:
    """The columns of a `row_condition`, those inside `and` and `or` too."""
    if not isinstance(condition, dict):
        return
    if isinstance(condition.get("column"), dict) and "name" in condition["column"]:
        yield condition["column"]["name"]
    for part in condition.get("conditions", ()):
        yield from condition_columns(part)


#: Expectations that are judged by the number of rows alone.
_COUNT_ROWS = {"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"}


@dataclass(frozen=True)
class Single:
    """One check to make: the expectation, and the slice of the table it is about (None: all rows).

    cut: the column by whose values the table is cut into such slices.
    """

    spec: ExpectationSpec
    expectation: Any
    slice: Slice | None = None
    cut: str | None = None

    @property
    def name(self) -> str:
        """The expectation's name, with the slice where there is one."""
        return self.spec.meta.name if self.slice is None else f"{self.spec.meta.name}: {self.slice.value}"

    def columns(self, all_columns: Sequence[str]) -> list[str]:
        """The columns that the check looks at; all where that is not known: user code, and what judges the table itself."""
        condition = self.spec.kwargs.get("row_condition")
        asked = {column for of in columns_of(self.expectation).values() for column in of} | set(condition_columns(condition))
        unknown = ":" in self.spec.type or (condition is not None and not set(condition_columns(condition)))
        if unknown or (not asked and self.spec.type not in _COUNT_ROWS):
            return list(all_columns)
        asked |= {self.cut} if self.cut else set()
        return [name for name in all_columns if name in asked] or list(all_columns)[:1]


def expand(spec: ExpectationSpec, expectation: Any, frame: Table, *, several_labels: bool = False) -> list[Single]:
    """The checks of one expectation; none when there is no such segment. Slices follow the order of their values.

    A class is the row's label where the data set has labels, else the predicted class; a row without a value belongs to none.
    With `several_labels` to a row it is the label explained.
    """
    if spec.for_each is None:
        return [Single(spec, expectation)]
    if spec.for_each == "control":
        return [single for control in CONTROLS if (single := _of_control(spec, expectation, frame, control)) is not None]
    return [
        single
        for column in _cuts(spec.for_each, frame, several_labels)
        for single in _of_column(spec, expectation, frame, column)
    ]


def _cuts(for_each: str, frame: Table, several_labels: bool) -> list[str]:
    """The columns by whose values the table is cut."""
    if for_each == "class" and several_labels:
        return ["target"]
    if for_each == "class":
        return ["label" if frame["label"].notna().any() else "predicted"]
    return sorted(name for name in frame.columns if name.startswith(SEGMENT) and for_each in {"segments", name})


def _of_column(spec: ExpectationSpec, expectation: Any, frame: Table, column: str) -> Iterator[Single]:
    segment = column.startswith(SEGMENT)
    known = frame[column][_known_rows(frame, expectation)]
    sizes = known.value_counts()
    for value in sorted(frame[column].dropna().unique()):
        n = int(sizes.get(value, 0))
        name = f"{column.removeprefix(SEGMENT)} {value}" if segment else value
        part = Slice(group=spec.meta.name, by="segment" if segment else "class", value=name, n=n)
        condition = {"type": "comparison", "column": {"name": column}, "operator": "==", "parameter": value}
        yield Single(spec, _rebuilt(spec, expectation, {"row_condition": condition}), part, column)


def _of_control(spec: ExpectationSpec, expectation: Any, frame: Table, control: str) -> Single | None:
    """None for a control that the table has no such column for."""
    rebuilt = _rebuilt(spec, expectation, for_control(expectation, control))
    if not {column for of in columns_of(rebuilt).values() for column in of} <= set(frame.columns):
        return None
    return Single(
        spec, rebuilt, Slice(group=spec.meta.name, by="control", value=control, n=int(_known_rows(frame, rebuilt).sum()))
    )


def _rebuilt(spec: ExpectationSpec, expectation: Any, changes: dict[str, Any]) -> Any:
    """The expectation with other arguments; built anew, so that the library checks them."""
    return type(expectation)(**spec.kwargs | changes, severity=spec.severity.value, meta={"name": spec.meta.name})


def _known_rows(frame: Table, expectation: Any) -> BoolArray:
    """Which rows have a value in every column that the expectation looks at, `rows`."""
    columns = [column for of in columns_of(expectation).values() for column in of if column in frame.columns]
    known = [np.ones(len(frame), bool), *(frame[column].notna().to_numpy() for column in columns)]
    return np.asarray(np.logical_and.reduce(known))


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
