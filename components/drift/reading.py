"""Read explained rows from attribution tables, each id once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.errors import InputError
from schemas.attribution import TABLE_VERSION

Row = dict[str, Any]

_COLUMNS = [
    "id",
    "text",
    "label",
    "segments",
    "problem",
    "predicted",
    "probability",
    "target",
    "tokens",
    "starts",
    "ends",
    "content",
    "values",
    "layers",
    "words",
]


def read_rows(tables: Sequence[Path]) -> dict[str, Row]:
    """Explained rows by id.

    Raises:
        InputError: an id occurs twice, so that rows could not be told apart.
    """
    rows = [row for path in tables for row in pq.read_table(path, columns=_COLUMNS).to_pylist()]
    _refuse_duplicates(row["id"] for row in rows)
    return {row["id"]: row for row in rows if row["problem"] is None}


def check_tables(tables: Sequence[Path]) -> None:
    """Refuse tables that cannot be paired with others.

    Raises:
        InputError: not a Parquet file, another version of the table, or an id that occurs twice.
    """
    for path in tables:
        _check_version(path)
    _refuse_duplicates(name for path in tables for name in pq.read_table(path, columns=["id"])["id"].to_pylist())


def _check_version(path: Path) -> None:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise InputError("an attribution table cannot be read", got=f"{path}: {error}", next_step=_AGAIN) from error
    version = metadata.get(b"calig.table_version", b"none").decode()
    if version != TABLE_VERSION:
        raise InputError("an attribution table is of another version", got=version, allowed=TABLE_VERSION, next_step=_AGAIN)


_AGAIN = "explain the version again with this release of calig"


def _refuse_duplicates(names: Iterable[str]) -> None:
    seen: set[str] = set()
    twice = sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    if twice:
        raise InputError("ids of an attribution table are not unique", got=", ".join(twice[:10]), next_step=_AGAIN)
