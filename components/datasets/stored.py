"""Rows of a data set on disk, read back in order or by number: of a row eight bytes are held.

JSON lines in a temporary file without a name, gone with the object or the process, whichever ends first. An example is written
and read by its own schema, as where shards are shared. Parquet or Arrow would need a second schema beside it, and give back a
group of rows where one is asked for.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile
from typing import overload
from weakref import finalize

from schemas.release import Example

#: Bytes read at a time, unless one line is longer.
_BLOCK = 1 << 18


class Lines:
    """Lines of a file that only this process has; any number of readers may read them at once."""

    def __init__(self) -> None:
        self._file = TemporaryFile(prefix="calig-rows-", buffering=_BLOCK)  # noqa: SIM115 - for the life of the object
        self._ends = array("q", [0])
        finalize(self, self._file.close)

    def append(self, line: str) -> None:
        """One more line, without its end; it has no line break inside."""
        self._ends.append(self._ends[-1] + self._file.write(line.encode() + b"\n"))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Lines from number `start` up to `stop`, which is not among them."""
        self._file.flush()
        while start < stop:
            first = self._ends[start]
            after = min(stop, max(start + 1, bisect_right(self._ends, first + _BLOCK) - 1))
            yield from os.pread(self._file.fileno(), self._ends[after] - first, first).splitlines()
            start = after


class Examples(Sequence[Example]):
    """The checked rows of a data set, in their order. An example is made when it is asked for; a slice is a list of them."""

    def __init__(self, examples: Iterable[Example]) -> None:
        """Goes through `examples` once and writes them down."""
        self._lines = Lines()
        for example in examples:
            self._lines.append(example.model_dump_json(exclude_defaults=True))

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Example]:
        return self._between(0, len(self))

    @overload
    def __getitem__(self, place: int) -> Example: ...

    @overload
    def __getitem__(self, place: slice) -> list[Example]: ...

    def __getitem__(self, place: int | slice) -> Example | list[Example]:
        places = range(len(self))[place]  # as of a list: negative places, steps, IndexError
        if isinstance(places, int):
            return next(self._between(places, places + 1))
        return list(self._between(places.start, places.stop)) if places.step == 1 else [self[i] for i in places]

    def _between(self, start: int, stop: int) -> Iterator[Example]:
        return map(Example.model_validate_json, self._lines.read(start, stop))
