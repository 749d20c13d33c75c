"""Rows of a comparison on disk, read part by part: the statistics stream over them, so that memory does not grow with rows.

Two Parquet files in a folder of their own, gone with the object: a line per row, and a line per word of each row; numbers, no
texts. A part is a row group of both, so that no row is cut. pyarrow is there already and decodes columns into NumPy arrays; what
is counted over them are sums by key, for which another engine would only be one more way of saying it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.table.units import Floats

Ints = NDArray[np.int64]
Columns = Mapping[str, NDArray[Any]]

#: Rows of a part: with 60 words each a part and what is computed of it stay within some megabytes.
PART_ROWS = 512

#: Keys that may wait before they are added up: fewer sorts, still little memory.
_WAITING = 1 << 16


class Part(NamedTuple):
    """Some rows and their words: columns by name. `row` of a word counts from the part's first row, `first` of all."""

    first: int
    rows: Columns
    words: Columns

    @property
    def row(self) -> NDArray[Any]:
        """The row of every word, from 0 within the part."""
        return self.words["row"]

    @property
    def n(self) -> int:
        """Rows of this part."""
        return len(next(iter(self.rows.values())))


class Parts:
    """Written once, then read as often as wanted."""

    def __init__(self) -> None:
        self._folder = Path(mkdtemp(prefix="calig-rows-"))
        finalize(self, rmtree, self._folder, ignore_errors=True)
        self._writers: dict[str, pq.ParquetWriter] = {}
        self.n = 0

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for writer in self._writers.values():
            writer.close()

    def write(self, rows: Columns, words: Columns) -> None:
        """One part; columns are the same in every part. Not finite values stay what they are."""
        for name, columns in (("rows", rows), ("words", words)):
            table = pa.table({key: pa.array(values) for key, values in columns.items()})
            if name not in self._writers:
                self._writers[name] = pq.ParquetWriter(self._path(name), table.schema, use_dictionary=False)
            self._writers[name].write_table(table, row_group_size=max(len(table), 1))
        self.n += len(next(iter(rows.values())))

    def read(self, rows: Sequence[str], words: Sequence[str] = ()) -> Iterator[Part]:
        """The parts in order, with these columns of the rows, one at least, and of the words, whose `row` is always there."""
        if self.n == 0:
            return
        first = 0
        with pq.ParquetFile(self._path("rows")) as of_rows, pq.ParquetFile(self._path("words")) as of_words:
            for group in range(of_rows.num_row_groups):
                part = Part(first, _columns(of_rows, group, rows), _columns(of_words, group, ["row", *words]) if words else {})
                first += part.n
                yield part

    def column(self, name: str) -> NDArray[Any]:
        """One column of all rows: 8 bytes a row are held."""
        parts = [part.rows[name] for part in self.read([name])]
        return np.concatenate(parts) if parts else np.empty(0)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.parquet"


def _columns(file: pq.ParquetFile, group: int, names: Sequence[str]) -> Columns:
    table = file.read_row_group(group, columns=list(dict.fromkeys(names)), use_threads=False)
    return {name: table[name].to_numpy() for name in table.column_names}


class Sums:
    """Sums of some values by a whole-number key. Memory is by the number of keys, not of what is added."""

    def __init__(self, n_values: int) -> None:
        self.keys: Ints = np.empty(0, np.int64)
        self.values: Floats = np.empty((0, n_values))
        self._waiting: list[tuple[Ints, Floats]] = []
        self._n_waiting = 0

    def add(self, keys: Ints, *values: Floats | Ints) -> None:
        """Add the values, `n` each, of these keys, any of which may be there several times."""
        self._waiting.append(summed(keys, np.stack(values, axis=1)))
        self._n_waiting += len(self._waiting[-1][0])
        if self._n_waiting > max(len(self.keys), _WAITING):
            self.finished()

    def finished(self) -> Sums:
        """With all that was added; the keys are sorted."""
        waiting = [(self.keys, self.values), *self._waiting]
        self._waiting, self._n_waiting = [], 0
        self.keys, self.values = summed(*(np.concatenate(some) for some in zip(*waiting, strict=True)))
        return self

    def of(self, keys: Ints) -> Floats:
        """The sums of these keys, `keys values`; zero of what was never added."""
        found, (places, known) = np.zeros((len(keys), self.values.shape[1])), find(self.keys, keys)
        found[known] = self.values[places[known]]
        return found


def summed(keys: Ints, values: Floats) -> tuple[Ints, Floats]:
    """Every key once, sorted, and the sums of its values, `keys values`."""
    found, place = np.unique(keys, return_inverse=True)
    return found, np.stack([np.bincount(place, column, len(found)) for column in values.T], axis=1)


def find(keys: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where in the sorted `keys` each wanted one stands, and whether it does."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return places, keys[places] == wanted
