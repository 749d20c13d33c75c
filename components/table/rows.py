"""Read explained rows from attribution tables, each id once, a few at a time: memory does not hold a whole table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypedDict

import pyarrow.parquet as pq

from components.common.errors import CouldNotRunError, InputError
from components.table import gold, orientation
from components.table.reader import AGAIN, iter_rows, open_table

Row = dict[str, Any]

_COLUMNS = [
    "id",
    "text",
    "pair_start",
    *(name for name in gold.COLUMNS if name not in {*orientation.COLUMNS, "predicted", "logits"}),
    "segments",
    "problem",
    "predicted",
    "probability",
    *orientation.COLUMNS,
    "baseline",
    "logits",
    "f_input",
    "f_baseline",
    "tokens",
    "starts",
    "ends",
    "content",
    "values",
    "layers",
    "words",
]


#: Groups of rows kept decoded: the next rows are mostly of the same group, also where two passes take turns.
_KEPT_GROUPS = 2


class Answer(gold.Answered):
    """What a version says of a row, and what is right."""

    id: str
    segments: dict[str, str] | None


class StoredRows(Mapping[str, Row]):
    """Explained rows by id, in the order of the tables; a row is read when it is asked for, with its group of the file.

    Only ids and places are held. Rows asked for in order cost one reading of the tables.
    """

    def __init__(self, places: Mapping[str, tuple[Path, int, int]]) -> None:
        self._places = places
        self._group = lru_cache(maxsize=_KEPT_GROUPS)(_read_group)

    def __getitem__(self, key: str) -> Row:
        path, group, offset = self._places[key]
        return self._group(path, group)[offset]

    def __contains__(self, key: object) -> bool:
        return key in self._places  # the inherited one would read the row

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def answers(self) -> dict[str, Answer]:
        """Gold and given answer of each row, in one reading of these columns alone."""
        paths = dict.fromkeys(path for path, _, _ in self._places.values())
        return {row["id"]: row for row in iter_rows(paths, Answer, explained=True)}


def read_rows(tables: Sequence[Path]) -> StoredRows:
    """Explained rows by id.

    Raises:
        InputError: an id occurs twice, so that rows could not be told apart.
    """
    places: dict[str, tuple[Path, int, int]] = {}
    _refuse_duplicates(name for _, name, _ in _all_places(tables))
    for place, name, problem in _all_places(tables):
        if problem is None:
            places[name] = place
    return StoredRows(places)


def count_rows(tables: Sequence[Path]) -> int:
    """All rows, those that could not be explained too."""
    return sum(int(pq.read_metadata(path).num_rows) for path in tables)


def _all_places(tables: Sequence[Path]) -> Iterator[tuple[tuple[Path, int, int], str, str | None]]:
    """File, group and offset of every row, its id and its problem."""
    for path in tables:
        with open_table(path, _COLUMNS) as file:
            for group in range(file.num_row_groups):
                for offset, row in enumerate(file.read_row_group(group, columns=["id", "problem"]).to_pylist()):
                    yield (path, group, offset), row["id"], row["problem"]


def _read_group(path: Path, group: int) -> list[Row]:
    with open_table(path) as file:
        present = [name for name in _COLUMNS if name in file.schema_arrow.names]
        rows: list[Row] = file.read_row_group(group, columns=present).to_pylist(maps_as_pydicts="strict")
    return [dict.fromkeys(_COLUMNS) | row for row in rows]


class _Named(TypedDict):
    id: str


def check_tables(tables: Sequence[Path]) -> None:
    """Refuse tables that cannot be paired with others.

    Raises:
        InputError: not a Parquet file, another version of the table, or an id that occurs twice.
    """
    try:
        _refuse_duplicates(row["id"] for row in iter_rows(tables, _Named))
    except CouldNotRunError as error:
        raise InputError(error.problem, next_step=error.next_step) from error


def _refuse_duplicates(names: Iterable[str]) -> None:
    seen: set[str] = set()
    twice = sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    if twice:
        raise InputError("ids of an attribution table are not unique", got=", ".join(twice[:10]), next_step=AGAIN)
