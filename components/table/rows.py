"""Read explained rows from attribution tables, each id once, a few at a time: memory does not hold a whole table."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.common.errors import CouldNotRunError, InputError
from components.table import gold, orientation
from components.table.by_id import ById, id_digest, repeated
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


class _Named(TypedDict):
    id: str


class _Group(NamedTuple):
    """A group of rows in a file; `first`: how many rows stand before it in all tables."""

    path: Path
    number: int
    first: int


class StoredRows(Mapping[str, Row]):
    """Explained rows by id, in the order of the tables; a row is read when it is asked for, with its group of the file.

    Of a row 16 bytes are held, a digest of its id and its place. Rows asked for in order cost one reading of the tables.
    """

    def __init__(self, groups: Sequence[_Group], places: ById) -> None:
        self._paths = list(dict.fromkeys(group.path for group in groups))
        self._groups, self._first, self._places = groups, np.array([group.first for group in groups]), places
        self._read = lru_cache(maxsize=_KEPT_GROUPS)(_read_group)

    def __getitem__(self, key: str) -> Row:
        for place in self._places.of(key).tolist():
            group = self._groups[int(np.searchsorted(self._first, place, side="right")) - 1]
            row: Row = self._read(group.path, group.number)[place - group.first]
            if row["id"] == key:  # two ids may have one digest
                return row
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (row["id"] for row in iter_rows(self._paths, _Named, explained=True))

    def __len__(self) -> int:
        return len(self._places)


def read_rows(tables: Sequence[Path]) -> StoredRows:
    """Explained rows by id.

    Raises:
        InputError: an id occurs twice, so that rows could not be told apart.
    """
    groups: list[_Group] = []
    digests, places, of_all, n = array("Q"), array("q"), array("Q"), 0
    for path, number, rows in _all_groups(tables):
        groups.append(_Group(path, number, n))
        for place, row in enumerate(rows, start=n):
            of_all.append(id_digest(row["id"]))
            if row["problem"] is None:
                digests.append(of_all[-1])
                places.append(place)
        n += len(rows)
    _refuse_duplicates(tables, of_all)
    return StoredRows(groups, ById(digests, np.array(places, dtype=np.int64)))


def count_rows(tables: Sequence[Path]) -> int:
    """All rows, those that could not be explained too."""
    return sum(int(pq.read_metadata(path).num_rows) for path in tables)


def _all_groups(tables: Sequence[Path]) -> Iterator[tuple[Path, int, list[Row]]]:
    """File and number of every group, with the ids and problems of its rows."""
    for path in tables:
        with open_table(path, _COLUMNS) as file:
            for number in range(file.num_row_groups):
                yield path, number, file.read_row_group(number, columns=["id", "problem"]).to_pylist()


def _read_group(path: Path, group: int) -> list[Row]:
    """The rows, with their layers as arrays: most of the numbers are there."""
    with open_table(path) as file:
        present = [name for name in _COLUMNS if name in file.schema_arrow.names]
        table = file.read_row_group(group, columns=present)
    rows: list[Row] = table.drop_columns("layers").to_pylist(maps_as_pydicts="strict")
    layers = _arrays(table["layers"].combine_chunks())
    return [dict.fromkeys(_COLUMNS) | row | {"layers": own} for row, own in zip(rows, layers, strict=True)]


def _arrays(column: pa.ListArray) -> list[NDArray[np.float32] | None]:
    """Lists of lists of one length as arrays; null stays None."""
    values, lengths = column.flatten().flatten().to_numpy(), pc.list_value_length(column).to_pylist()
    inner = pc.list_value_length(column.flatten()).to_numpy()
    made, at, first = [], 0, 0
    for length in lengths:
        size = int(inner[at : at + (length or 0)].sum())
        made.append(None if length is None else values[first : first + size].reshape(length, -1))
        at, first = at + (length or 0), first + size
    return made


def check_tables(tables: Sequence[Path]) -> None:
    """Refuse tables that cannot be paired with others.

    Raises:
        InputError: not a Parquet file, another version of the table, or an id that occurs twice.
    """
    try:
        _refuse_duplicates(tables, array("Q", (id_digest(row["id"]) for row in iter_rows(tables, _Named))))
    except CouldNotRunError as error:
        raise InputError(error.problem, next_step=error.next_step) from error


def _refuse_duplicates(tables: Sequence[Path], digests: array[int]) -> None:
    """Ids are compared where their digests, of all rows of the tables, are equal."""
    suspected = repeated(digests)
    if not suspected:
        return
    names = Counter(row["id"] for row in iter_rows(tables, _Named) if id_digest(row["id"]) in suspected)
    twice = sorted(name for name, n in names.items() if n > 1)
    if twice:
        raise InputError("ids of an attribution table are not unique", got=", ".join(twice[:10]), next_step=AGAIN)
