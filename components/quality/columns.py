"""Which columns of the per-row table an expectation looks at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
