"""Read the rows of a data file as plain Python values, whatever its format; JSON strictly: no key twice, no deep nesting."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from components.common.errors import InputError
from components.datasets.columns import Row, refuse_repeated
from components.datasets.limits import Budget, Limits
from components.datasets.tables import read_parquet, read_saved_dataset


def read_json(text: str, *, depth: int) -> Any:
    """The value that `text` stands for.

    Raises:
        ValueError: not JSON, a key given twice, nested deeper than `depth`, or text that cannot be encoded.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {depth} levels") from error
    _check_depth(value, depth)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's content; of a key given twice Python would keep the last value without a word."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} is given twice")
    return content


def _check_depth(value: Any, depth: int) -> None:
    """Level by level, so that it does not recurse itself."""
    level = [value]
    for _ in range(depth + 1):
        level = [part for parent in level for part in _parts(parent)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {depth} levels")


def _parts(value: Any) -> Iterable[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in parts if isinstance(part, (dict, list))]


_BYTE_ORDER_MARK = "\ufeff"
_QUOTES = "in a quoted field write each quote twice, and end the field with a quote; or save the data as JSON Lines"


def read_csv(path: Path, limit: int | None, budget: Budget) -> Iterator[Row]:
    """Every value as text: what a column means is decided from its content, alike for all formats."""
    csv.field_size_limit(max(csv.field_size_limit(), budget.limits.value_bytes))  # the module's own limit is 128 KiB
    with _opened(path) as stream:
        lines = csv.reader(_lines(stream, path.name, budget), strict=True)
        records = _records(lines, path.name)
        columns = tuple(next(records, ()))
        budget.check_columns(len(columns))
        refuse_repeated(columns, path.name)
        rows = (_csv_row(columns, fields, f"{path.name}, line {lines.line_num}") for fields in records)
        yield from _counted(islice(rows, limit), budget)


def read_jsonl(path: Path, limit: int | None, budget: Budget) -> Iterator[Row]:
    """One object a line."""
    columns: set[str] = set()
    with _opened(path) as stream:
        for row in _counted(islice(_json_objects(stream, path.name, budget), limit), budget):
            columns |= row.keys()
            budget.check_columns(len(columns))
            yield row


class SwallowedLines:
    """Looks in rows of CSV for quoted fields that hold whole rows: two stray quotes make one out of all lines between them.

    A line inside a field counts as a row when it has as many fields as the header and a class name in the column `label`.
    """

    def __init__(self, labels: Sequence[str], name: str) -> None:
        """`labels`: the model's; `name`: the file's, for messages."""
        self._labels, self._name = labels, name
        self._found: str | None = None

    def add(self, number: int, row: Row) -> None:
        """Row `number` with the values of all columns; nothing is refused yet."""
        inner = [line for value in row.values() for line in value.splitlines()[1:-1]]
        if self._found is not None or not inner or "label" not in row or len(row) < 2:
            return
        place = list(row).index("label")
        found = (",".join(f) for f in csv.reader(inner) if len(f) == len(row) and f[place] in self._labels)
        self._found = next((f"{self._name}, row {number}: {line[:80]!r} inside a field" for line in found), None)

    def refuse(self) -> None:
        """Raise InputError with the first one."""
        if self._found is not None:
            raise InputError("A quoted field holds whole rows: a quote may be missing.", got=self._found, next_step=_QUOTES)


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _lines(stream: IO[bytes], name: str, budget: Budget) -> Iterator[str]:
    """The lines with their ends; never more than one limited line is held, however far a line goes on."""
    number = 0
    while line := stream.readline(budget.limits.value_bytes + 1):
        number += 1
        budget.check_value(len(line), f"{name}, line {number}")
        budget.add_bytes(len(line))
        text = line.decode()
        yield text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text


def _counted(rows: Iterable[Row], budget: Budget) -> Iterator[Row]:
    for row in rows:
        budget.add_row()
        yield row


def _records(lines: Any, name: str) -> Iterator[list[str]]:
    """The fields of every line that is not empty."""
    try:
        yield from (fields for fields in lines if fields)
    except csv.Error as error:
        got = f"{name}, line {lines.line_num}: {error}"
        raise InputError("The CSV file is broken, or its quotes are.", got=got, next_step=_QUOTES) from error


def _csv_row(columns: tuple[str, ...], fields: list[str], where: str) -> Row:
    if len(fields) > len(columns):
        step = "put fields with a comma into quotes, or save the data as JSON Lines"
        got = f"{where}: {len(fields)} fields, {len(columns)} columns"
        raise InputError("A row has more fields than the header.", got=got, next_step=step)
    if len(fields) < len(columns):
        got = f"{where}: {len(fields)} of {len(columns)} fields"
        raise InputError(
            "A row has too few fields.", got=got, next_step="was the file cut off? An empty field needs its comma too"
        )
    return dict(zip(columns, fields, strict=True))


def _json_objects(stream: IO[bytes], name: str, budget: Budget) -> Iterator[Row]:
    for number, line in enumerate(_lines(stream, name, budget), start=1):
        if line.strip():
            yield _json_object(line, f"{name}, line {number}", budget.limits.depth)


def _json_object(line: str, where: str, depth: int) -> Row:
    try:
        row = read_json(line, depth=depth)
    except ValueError as error:
        raise InputError("A line is not valid JSON.", got=f"{where}: {error}", next_step="mend or remove the line") from error
    if not isinstance(row, dict):
        raise InputError(
            "A line is not a JSON object.", got=f"{where}: {line.strip()[:80]}", allowed='one object per line: {"text": ...}'
        )
    return row


FORMATS = ".csv, .csv.gz, .jsonl, .jsonl.gz, .parquet, or a folder written by datasets.save_to_disk"

Reader = Callable[[Path, int | None, Budget], Iterator[Row]]

_READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".csv.gz": read_csv,
    ".jsonl": read_jsonl,
    ".jsonl.gz": read_jsonl,
    ".parquet": read_parquet,
}


def bare_name(path: Path) -> str:
    """The name of the file or folder without the endings that tell its format."""
    return re.sub(r"(?i)(\.csv|\.jsonl|\.parquet)(\.gz)?$", "", path.name)


def read_rows(path: Path, limit: int | None, limits: Limits) -> Iterator[Row]:
    """The first `limit` rows (None: all) of the file or folder at `path`, one by one; no more of it is read than they need.

    Raises:
        InputError: missing, of an unknown format, broken (with the line, for CSV and JSON Lines), or beyond `limits`.
    """
    read = _reader_of(path)
    try:
        yield from read(path, limit, Budget(limits))
    except UnicodeDecodeError as error:
        raise InputError("The file is not UTF-8 text.", got=f"{path.name}: {error}", next_step="save it as UTF-8") from error
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, zlib.error) as error:  # gzip's and Arrow's own
        raise InputError("The file cannot be read.", got=f"{path.name}: {error}", allowed=FORMATS) from error


def _reader_of(path: Path) -> Reader:
    if not path.exists():
        raise InputError("The data set does not exist.", got=path, allowed=FORMATS)
    if path.is_dir():
        return read_saved_dataset
    if not path.is_file():
        raise InputError("The data set is not a regular file.", got=path, allowed=FORMATS)
    for ending, read in _READERS.items():
        if path.name.lower().endswith(ending):
            return read
    raise InputError("The data set's format is not supported.", got=path.name, allowed=FORMATS)
