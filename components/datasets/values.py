"""Rows of a data file, and what counts as an empty cell in every format."""

from __future__ import annotations

from typing import Any, NamedTuple

from calig.labels import is_missing

__all__ = ["Row", "Rows", "is_missing"]

Row = dict[str, Any]


class Rows(NamedTuple):
    """Column names in order, and per row the value of each column; a column that a row lacks is missing there."""

    columns: tuple[str, ...]
    values: list[Row]
