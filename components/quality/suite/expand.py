"""Expansion of one expectation into checks: itself, or with `for_each` one per class, segment or control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.quality.scores.frame import CONTROLS
from schemas.quality import Slice
from schemas.suite import ExpectationSpec

if TYPE_CHECKING:
    import pandas as pd


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


_SEGMENT = "segment_"


@dataclass(frozen=True)
class Single:
    """One check to make: the expectation, and the slice of the table it is about (None: all rows)."""

    spec: ExpectationSpec
    expectation: Any
    slice: Slice | None = None

    @property
    def name(self) -> str:
        """The expectation's name, with the slice where there is one."""
        return self.spec.meta.name if self.slice is None else f"{self.spec.meta.name}: {self.slice.value}"


def expand(spec: ExpectationSpec, expectation: Any, frame: pd.DataFrame) -> list[Single]:
    """The checks of one expectation; none when there is no such segment. Slices follow the order of their values.

    A class is the row's label where the data set has labels, else the predicted class; a row without a value belongs to none.
    """
    if spec.for_each is None:
        return [Single(spec, expectation)]
    if spec.for_each == "control":
        return [single for control in CONTROLS if (single := _of_control(spec, expectation, frame, control)) is not None]
    return [single for column in _cuts(spec.for_each, frame) for single in _of_column(spec, expectation, frame, column)]


def _cuts(for_each: str, frame: pd.DataFrame) -> list[str]:
    """The columns by whose values the table is cut."""
    if for_each == "class":
        return ["label" if frame["label"].notna().any() else "predicted"]
    return sorted(name for name in frame.columns if name.startswith(_SEGMENT) and for_each in {"segments", name})


def _of_column(spec: ExpectationSpec, expectation: Any, frame: pd.DataFrame, column: str) -> Iterator[Single]:
    segment = column.startswith(_SEGMENT)
    for value in sorted(frame[column].dropna().unique()):
        n = _n_known(frame[frame[column] == value], expectation)
        name = f"{column.removeprefix(_SEGMENT)} {value}" if segment else value
        part = Slice(group=spec.meta.name, by="segment" if segment else "class", value=name, n=n)
        condition = {"type": "comparison", "column": {"name": column}, "operator": "==", "parameter": value}
        yield Single(spec, _rebuilt(spec, expectation, {"row_condition": condition}), part)


def _of_control(spec: ExpectationSpec, expectation: Any, frame: pd.DataFrame, control: str) -> Single | None:
    """None for a control that the table has no such column for."""
    rebuilt = _rebuilt(spec, expectation, for_control(expectation, control))
    if not {column for of in columns_of(rebuilt).values() for column in of} <= set(frame.columns):
        return None
    return Single(spec, rebuilt, Slice(group=spec.meta.name, by="control", value=control, n=_n_known(frame, rebuilt)))


def _rebuilt(spec: ExpectationSpec, expectation: Any, changes: dict[str, Any]) -> Any:
    """The expectation with other arguments; built anew, so that the library checks them."""
    return type(expectation)(**spec.kwargs | changes, severity=spec.severity.value, meta={"name": spec.meta.name})


def _n_known(frame: pd.DataFrame, expectation: Any) -> int:
    """Rows with a value in every column that the expectation looks at."""
    columns = [column for of in columns_of(expectation).values() for column in of if column in frame.columns]
    return len(frame[columns].dropna()) if columns else len(frame)
