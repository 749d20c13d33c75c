"""The reader of the attribution table: a few rows at a time, only the columns that are asked for, of this table's version.

A step declares what it reads as a `TypedDict` whose keys are columns of `schemas.attribution`; `iter_rows` yields such rows.
Lists stay lists, maps become dictionaries, what is null is None. Memory holds one batch, whatever the table's size. Arrow is
imported when a table is read: the command line loads the steps at every start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from components.common.errors import CouldNotRunError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

View = TypeVar("View")

#: Rows read at a time: a batch of long rows with many layers stays within some 100 MB.
BATCH_ROWS = 256
AGAIN = "explain the version again with this release of calig"


def iter_rows(tables: Iterable[Path], view: type[View], *, explained: bool = False) -> Iterator[View]:
    """The rows in order, with the columns that are the keys of the TypedDict `view`; `explained`: those with an attribution.

    Raises:
        CouldNotRunError: a file cannot be read, is of another version, or lacks a column.
    """
    return chain.from_iterable(iter_parts(tables, view, explained=explained))


def iter_parts(
    tables: Iterable[Path], view: type[View], *, rows: int = BATCH_ROWS, explained: bool = False
) -> Iterator[list[View]]:
    """The same in lists of at most `rows` rows, none of which goes over the end of a file."""
    for batch in iter_batches(tables, view.__annotations__, rows=rows, explained=explained):
        yield batch.to_pylist(maps_as_pydicts="strict")


def iter_batches(
    tables: Iterable[Path],
    columns: Iterable[str],
    *,
    rows: int = BATCH_ROWS,
    explained: bool = False,
    among: tuple[str, Collection[object]] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows as Arrow batches, to compute on without Python objects; raises as `iter_rows` does.

    Args:
        tables: the Parquet files of one table.
        columns: what is read.
        rows: most rows of a batch.
        explained: only rows that have an attribution.
        among: a column and its values: only rows with one of these.
    """
    import pyarrow as pa

    from schemas.attribution import SCHEMA

    wanted = list(columns)
    values = None if among is None else pa.array(list(among[1]), SCHEMA.field(among[0]).type)
    asked = list(dict.fromkeys([*wanted, *(["problem"] if explained else []), *([among[0]] if among else [])]))
    for path in tables:
        with open_table(path, asked) as file:
            present = [name for name in asked if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=rows, columns=present):
                yield _kept(_completed(batch, asked), explained, among and among[0], values).select(wanted)


def _completed(batch: pa.RecordBatch, asked: Iterable[str]) -> pa.RecordBatch:
    """With the columns, all null, that an older table lacks."""
    import pyarrow as pa

    from schemas.attribution import SCHEMA

    for name in asked:
        if name not in batch.schema.names:
            batch = batch.append_column(SCHEMA.field(name), pa.nulls(batch.num_rows, SCHEMA.field(name).type))
    return batch


def _kept(batch: pa.RecordBatch, explained: bool, name: str | None, values: pa.Array | None) -> pa.RecordBatch:
    import pyarrow.compute as pc

    kept = batch.filter(batch["problem"].is_null()) if explained else batch
    return kept if values is None else kept.filter(pc.is_in(kept[name], value_set=values))


@contextmanager
def open_table(path: Path, columns: Collection[str] = ()) -> Iterator[pq.ParquetFile]:
    """One file of the table, of a version that can be read and with `columns`, later ones aside; raises likewise."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow, columns)
            yield file
    except (OSError, pa.ArrowException) as error:
        raise CouldNotRunError(f"the attribution table {path} cannot be read", got=error, next_step=AGAIN) from error


def _check(path: Path, schema: pa.Schema, columns: Collection[str]) -> None:
    from schemas.attribution import LATER_COLUMNS, READABLE_VERSIONS, TABLE_VERSION

    version = (schema.metadata or {}).get(b"calig.table_version", b"none").decode()
    if version not in READABLE_VERSIONS:
        problem = f"the attribution table {path} is of another version"
        raise CouldNotRunError(problem, got=version, allowed=TABLE_VERSION, next_step=AGAIN)
    missing = sorted(set(columns) - set(schema.names) - set(LATER_COLUMNS))
    if missing:
        raise CouldNotRunError(f"the attribution table {path} lacks columns", got=", ".join(missing), next_step=AGAIN)
