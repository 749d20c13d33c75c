"""The digest of what an attribution table says, whatever its Parquet container looks like: for verifying and for replaying."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.attribution import LATER_COLUMNS, SCHEMA

#: A picture's path differs from machine to machine; its bytes are in the data set's digest.
VALUE_COLUMNS = tuple(name for name in SCHEMA.names if name != "image")


def values_digest(table: pa.Table) -> str:
    """SHA-256 over the values of `VALUE_COLUMNS`, in their order, bit for bit.

    Of every column: its name and type, which values are null, the lengths of lists and texts, and the values themselves,
    little-endian. Chunks, encodings, compression and metadata of the file do not enter. The columns of pairs,
    windows, several labels and numbers enter where there are such rows: other tables have the digest from before these columns.

    Raises:
        KeyError: the table lacks one of the columns.
    """
    return _digest(table.column, table.schema)


def file_values_digest(file: pq.ParquetFile) -> str:
    """`values_digest` of a file's table; memory holds one column at a time."""
    return _digest(lambda name: file.read(columns=[name])[name], file.schema_arrow)


def _digest(column_of: Callable[[str], pa.ChunkedArray], schema: pa.Schema) -> str:
    digest = hashlib.sha256()
    for name in VALUE_COLUMNS:
        if name in LATER_COLUMNS and name not in schema.names:
            continue
        column = column_of(name).combine_chunks()
        if name in LATER_COLUMNS and column.null_count == len(column):
            continue
        digest.update(f"{name}\0{_kind(column.type)}\0".encode())
        _feed(digest, column)
    return digest.hexdigest()


def table_digest(path: Path) -> str | None:
    """`values_digest` of a Parquet file; None when it is no table, or one of other columns."""
    try:
        with pq.ParquetFile(path) as file:
            return file_values_digest(file)
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None


def _feed(digest: Any, array: Any) -> None:
    """Validity first, then the values that are there; lists as lengths and one flat array."""
    if isinstance(array, pa.ChunkedArray):  # what combine_chunks gives for an empty or a very long column
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    digest.update(len(array).to_bytes(8, "little"))
    digest.update(pc.is_valid(array).to_numpy(zero_copy_only=False).tobytes())
    array = array.drop_null()
    kind = array.type
    if pa.types.is_list(kind):
        _numbers(digest, pc.list_value_length(array))
        _feed(digest, array.flatten())
    elif pa.types.is_map(kind):
        _feed(digest, array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))))
    elif pa.types.is_struct(kind):
        for field in array.flatten():
            _feed(digest, field)
    elif pa.types.is_string(kind):
        _numbers(digest, pc.binary_length(array))
        digest.update("".join(array.to_pylist()).encode())
    else:
        _numbers(digest, array)


def _kind(type_: Any) -> str:
    """A type without the names of its parts, which Parquet does not keep."""
    if pa.types.is_list(type_):
        return f"list<{_kind(type_.value_type)}>"
    if pa.types.is_map(type_):
        return f"map<{_kind(type_.key_type)}, {_kind(type_.item_type)}>"
    if pa.types.is_struct(type_):
        return f"struct<{', '.join(f'{field.name}: {_kind(field.type)}' for field in type_)}>"
    return str(type_)


def _numbers(digest: Any, array: Any) -> None:
    values = array.to_numpy(zero_copy_only=False)
    digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
