"""First of two passes over a data set: what all rows together say of the columns. The second one makes the examples.

The file itself is read once: the rows wait in a file of our own, so that both passes are over the same rows, whatever becomes of
the data set meanwhile, and nothing is unpacked and checked twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic_core import from_json

from components.datasets.columns import KNOWN, Row, SegmentColumns
from components.datasets.gold import gold_column
from components.datasets.readers import SwallowedLines
from components.datasets.stored import Lines
from schemas.release import LabelKind

#: What JSON does not know, dates and decimals of Parquet, is a text from here on; floats come back as they are.
_AS_JSON = json.JSONEncoder(ensure_ascii=False, check_circular=False, default=str).encode

_KNOWN = frozenset(KNOWN)


class Survey:
    """Columns, segments and gold answers of rows that pass once; nothing is refused before it is asked for.

    Held are names, at most 21 values of each possible segment column, different labels, and eight bytes a row.
    """

    def __init__(self, rows: Iterable[Row], labels: Sequence[str], kind: LabelKind, name: str) -> None:
        """`labels`: the model's; `kind`: what its column `label` holds; `name`: the file's, for messages."""
        self.segments, self.gold = SegmentColumns(), gold_column(labels, kind, name)
        self.swallowed = SwallowedLines(labels, name)
        self._columns: dict[str, None] = {}
        self._is_csv = name.lower().endswith((".csv", ".csv.gz"))
        self._kept = Lines()
        for number, row in enumerate(rows):
            self._see(number, row)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in the order of their first occurrence."""
        return tuple(self._columns)

    def rows(self) -> Iterator[Row]:
        """The rows once more, with the columns that may be read: those with a meaning and the segments."""
        return map(from_json, self._kept.read(0, len(self._kept)))

    def __len__(self) -> int:
        return len(self._kept)

    def _see(self, number: int, row: Row) -> None:
        if not row.keys() <= self._columns.keys():
            self._columns |= dict.fromkeys(row)
        if self._is_csv:
            self.swallowed.add(number, row)
        self.segments.add(row)
        self.gold.add(number, row.get("label"))
        possible = self.segments.possible
        read: dict[str, Any] = {name: value for name, value in row.items() if name in _KNOWN or name in possible}
        self._kept.append(_AS_JSON(read))
