"""Read the rows of a data file as plain Python values, whatever its format."""

from __future__ import annotations

import gzip
import json
import re
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from components.errors import InputError

FORMATS = ".csv, .csv.gz, .jsonl, .jsonl.gz, .parquet, or a folder written by datasets.save_to_disk"

Row = dict[str, Any]


class Rows(NamedTuple):
    """Column names in order, and per row the value of each column, None when it is missing."""

    columns: tuple[str, ...]
    values: list[Row]


def bare_name(path: Path) -> str:
    """The name of the file or folder without the endings that tell its format."""
    return re.sub(r"(?i)(\.csv|\.jsonl|\.parquet)(\.gz)?$", "", path.name)


def read_rows(path: Path, limit: int | None) -> Rows:
    """The first `limit` rows (None: all) of the file or folder at `path`.

    Raises:
        InputError: missing, of an unknown format, or broken (with the line, for JSON Lines).
    """
    if not path.exists():
        raise InputError("The data set does not exist.", got=path, allowed=FORMATS)
    if path.is_dir():
        return _saved_dataset(path, limit)
    for ending, read in _READERS.items():
        if path.name.lower().endswith(ending):
            return _mapped(read, path, limit)
    raise InputError("The data set's format is not supported.", got=path.name, allowed=FORMATS)


def _mapped(read: Callable[[Path, int | None], Rows], path: Path, limit: int | None) -> Rows:
    try:
        return read(path, limit)
    except UnicodeDecodeError as error:
        raise InputError("The file is not UTF-8 text.", got=f"{path.name}: {error}", next_step="save it as UTF-8") from error
    except (OSError, EOFError, ValueError) as error:  # broken gzip, pandas' and Arrow's parser errors
        raise InputError("The file cannot be read.", got=f"{path.name}: {error}", allowed=FORMATS) from error


def _csv(path: Path, limit: int | None) -> Rows:
    """Every value as text: what a column means is decided from its content, alike for all formats."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            table = pd.read_csv(path, dtype=str, na_filter=False, nrows=limit, index_col=False, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        return Rows((), [])
    except pd.errors.ParserWarning as error:
        raise ValueError("a row has more fields than the header") from error
    columns = tuple(map(str, table.columns))
    return Rows(columns, [dict(zip(columns, values, strict=True)) for values in table.itertuples(index=False, name=None)])


def _jsonl(path: Path, limit: int | None) -> Rows:
    with _text_stream(path) as stream:
        values = list(islice(_json_objects(stream, path.name), limit))
    columns = tuple(dict.fromkeys(column for row in values for column in row))
    return Rows(columns, [{column: row.get(column) for column in columns} for row in values])


def _text_stream(path: Path) -> IO[str]:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig")
    return path.open(encoding="utf-8-sig")


def _json_objects(lines: IO[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _json_object(line, f"{name}, line {number}")


def _json_object(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
        if "\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except ValueError as error:
        raise InputError("A line is not valid JSON.", got=f"{where}: {error}", next_step="mend or remove the line") from error
    if not isinstance(row, dict):
        raise InputError(
            "A line is not a JSON object.", got=f"{where}: {line.strip()[:80]}", allowed='one object per line: {"text": ...}'
        )
    return row


def _parquet(path: Path, limit: int | None) -> Rows:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return Rows(tuple(table.column_names), table.slice(0, limit).to_pylist())


def _saved_dataset(path: Path, limit: int | None) -> Rows:
    if (path / "dataset_dict.json").is_file():
        splits = json.loads((path / "dataset_dict.json").read_text(encoding="utf-8")).get("splits", [])
        raise InputError(
            "The folder holds several splits.",
            got=path,
            allowed=", ".join(str(path / split) for split in splits),
            next_step="name one",
        )
    if not (path / "state.json").is_file():
        raise InputError("The folder is not a data set written by save_to_disk.", got=path, allowed=FORMATS)
    import datasets

    try:
        saved = datasets.load_from_disk(str(path))
    except (OSError, ValueError, KeyError) as error:
        raise InputError("The saved data set cannot be read.", got=f"{path}: {error}", next_step="save it again") from error
    return _rows_of_dataset(saved.select(range(min(len(saved), limit or len(saved)))))


def _rows_of_dataset(saved: Any) -> Rows:
    pictures = [name for name, feature in saved.features.items() if type(feature).__name__ == "Image"]
    if pictures:
        raise InputError(
            "Pictures inside a saved data set are not supported.",
            got=f"Image column {', '.join(pictures)}",
            next_step="write them to files and give their paths in a column named 'image' of a CSV, JSON Lines or Parquet file",
        )
    names = {name: feature.names for name, feature in saved.features.items() if type(feature).__name__ == "ClassLabel"}
    return Rows(tuple(saved.column_names), [_with_class_names(row, names) for row in saved.to_list()])


def _with_class_names(row: Row, names: dict[str, list[str]]) -> Row:
    """Class names in place of indices: the set's order of classes need not be the model's. -1 stands for no label."""
    named = {column: _class_name(row[column], classes) for column, classes in names.items()}
    return {**row, **named}


def _class_name(index: int | None, classes: list[str]) -> str | None:
    return None if index is None or index < 0 else classes[index]


_READERS: dict[str, Callable[[Path, int | None], Rows]] = {
    ".csv": _csv,
    ".csv.gz": _csv,
    ".jsonl": _jsonl,
    ".jsonl.gz": _jsonl,
    ".parquet": _parquet,
}
