"""Parquet files and saved `datasets` folders, read a few rows at a time so that no more is decoded than is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import InputError
from components.datasets.columns import KNOWN, Row, refuse_repeated
from components.datasets.limits import Budget

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows decoded at a time: equal texts are stored once and decoded to one copy per row.
_ROWS_AT_ONCE = 64


def read_parquet(path: Path, limit: int | None, budget: Budget) -> Iterator[Row]:
    """Dictionary-encoded texts stay encoded until they are counted."""
    import pyarrow.parquet as pq

    metadata, schema = pq.read_metadata(path), pq.read_schema(path)
    _check_schema(schema, path, budget)
    groups = _needed_groups(metadata, limit)
    _check_chunks(metadata, groups, budget)
    with pq.ParquetFile(path, read_dictionary=[field.name for field in schema if _is_text(field.type)]) as file:
        batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=groups, use_threads=False)
        yield from _rows(batches, budget, limit)


def read_saved_dataset(path: Path, limit: int | None, budget: Budget) -> Iterator[Row]:
    """A folder written by `datasets.save_to_disk`."""
    _check_folder(path)
    import datasets

    try:
        saved: Any = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise InputError("The saved data set cannot be read.", got=f"{path}: {error}", next_step="save it again") from error
    _refuse_pictures(saved.features)
    _check_schema(saved.data.table.schema, path, budget)
    arrow = saved.with_format("arrow")
    n_rows = min(len(saved), len(saved) if limit is None else limit)
    parts = (arrow[start : min(start + _ROWS_AT_ONCE, n_rows)] for start in range(0, n_rows, _ROWS_AT_ONCE))
    batches = (batch for part in parts for batch in part.to_batches())
    names = {name: found for name, feature in saved.features.items() if (found := _names_of(feature)) is not None}
    yield from (_with_class_names(row, names) for row in _rows(batches, budget, n_rows))


def _rows(batches: Iterable[Any], budget: Budget, limit: int | None) -> Iterator[Row]:
    """The rows of Arrow batches; every text is counted before Python copies it."""
    left = limit
    for whole in batches:
        batch = whole if left is None else whole.slice(0, left)
        left = None if left is None else left - batch.num_rows
        budget.add_bytes(sum(_text_bytes(batch.column(i), batch.schema.names[i], budget) for i in range(batch.num_columns)))
        for row in batch.to_pylist():
            budget.add_row()
            yield row
        if left == 0:
            return


def _text_bytes(column: Any, name: str, budget: Budget) -> int:
    """Bytes of a column when every row has a copy of its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = pa.types.is_dictionary(column.type)
    if not _is_text(column.type.value_type if encoded else column.type):
        return int(column.nbytes)
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices) if encoded else pc.binary_length(column)
    budget.check_value(pc.max(lengths).as_py() or 0, f"column {name!r}")
    return pc.sum(lengths).as_py() or 0


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _needed_groups(metadata: Any, limit: int | None) -> list[int]:
    """The row groups that hold the first `limit` rows."""
    needed, rows = [], 0
    for group in range(metadata.num_row_groups):
        if limit is not None and rows >= limit:
            break
        needed.append(group)
        rows += metadata.row_group(group).num_rows
    return needed


def _check_chunks(metadata: Any, groups: Sequence[int], budget: Budget) -> None:
    """A column's part of a row group may be decompressed as a whole."""
    for group in groups:
        found = metadata.row_group(group)
        largest = max((found.column(i).total_uncompressed_size for i in range(found.num_columns)), default=0)
        if largest > budget.limits.data_bytes:
            budget.add_bytes(largest)


def _check_schema(schema: pa.Schema, path: Path, budget: Budget) -> None:
    budget.check_columns(len(schema.names))
    refuse_repeated(schema.names, path.name)
    _refuse_bytes(schema)


def _refuse_bytes(schema: pa.Schema) -> None:
    """Bytes are no text until somebody says in which encoding."""
    import pyarrow as pa

    kinds = {f.name: f.type.value_type if pa.types.is_dictionary(f.type) else f.type for f in schema}
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    found = [name for name, kind in kinds.items() if any(is_bytes(kind) for is_bytes in tests)]
    meant = [name for name in found if name.strip().lower() in KNOWN]
    if meant:
        raise InputError(
            "A column holds bytes, not text.",
            got=f"column {', '.join(map(repr, meant))}",
            next_step="write it as strings, e.g. table.cast with pyarrow.string(), or frame[column].str.decode('utf-8')",
        )


def _check_folder(path: Path) -> None:
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
        raise InputError(
            "The folder holds several splits.",
            got=path,
            allowed=", ".join(str(path / split) for split in splits),
            next_step="name one",
        )
    if not (path / "state.json").is_file():
        raise InputError(
            "The folder is not a data set written by save_to_disk.", got=path, next_step="save it with datasets' save_to_disk"
        )


def _refuse_pictures(features: Any) -> None:
    pictures = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    if pictures:
        raise InputError(
            "Pictures inside a saved data set are not supported.",
            got=f"Image column {', '.join(pictures)}",
            next_step="write them to files and give their paths in a column named 'image' of a CSV, JSON Lines or Parquet file",
        )


def _with_class_names(row: Row, names: dict[str, list[str]]) -> Row:
    """Class names in place of indices: the set's order of classes need not be the model's. -1 stands for no label."""
    named = {column: _class_name(row[column], classes) for column, classes in names.items()}
    return {**row, **named}


def _names_of(feature: Any) -> list[str] | None:
    """The class names of a feature that holds a class, or a list of classes, by index; None of any other."""
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if type(inner).__name__ == "ClassLabel" else None


def _class_name(index: Any, classes: list[str]) -> Any:
    if isinstance(index, list):
        return [_class_name(one, classes) for one in index]
    return None if index is None or index < 0 else classes[index]
