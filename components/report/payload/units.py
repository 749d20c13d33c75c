"""Words of a text or patches of an image with their relevance, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.common.errors import CouldNotRunError
from components.table.alignment import align

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_BATCH = 256  # rows read at a time: a batch of long rows with many layers stays within some 100 MB
#: What `units_in` needs.
UNIT_COLUMNS = ("text", "words", "values", "content")


@dataclass(frozen=True, slots=True)
class Units:
    """Relevance per unit in logits, `units`; `starts` and `ends` are characters, or for patches their position."""

    starts: Integers
    ends: Integers
    values: Floats

    @property
    def shares(self) -> Floats:
        """Signed shares of the total absolute relevance; zeros when there is none, NaN when it is not finite."""
        mass = np.abs(self.values).sum()
        return self.values / mass if 0 < mass < np.inf else np.full_like(self.values, 0.0 if mass == 0 else np.nan)


def read_batches(paths: Iterable[Path], columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """The tables' rows in batches of bounded size.

    Raises:
        CouldNotRunError: a table cannot be read.
    """
    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=_BATCH, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            raise CouldNotRunError(
                f"the report cannot read the attribution table {path}", got=error, next_step="run the attribution step again"
            ) from error


def units_in(batch: pa.RecordBatch) -> list[Units]:
    """The units of each row of a batch that has `UNIT_COLUMNS`; none for a row without attribution."""
    is_text = batch["text"].is_valid().to_pylist()
    fields = batch["words"].values
    starts, ends, values = (ragged(batch["words"], fields.field(name)) for name in ("start", "end", "value"))
    tokens, content = ragged(batch["values"]), ragged(batch["content"])
    return [
        Units(starts[i].astype(np.int64), ends[i].astype(np.int64), values[i].astype(np.float64))
        if is_text[i]
        else _patches(tokens[i], content[i])
        for i in range(batch.num_rows)
    ]


def ragged(column: pa.ListArray, values: pa.Array | None = None) -> list[NDArray[Any]]:
    """One array per row; `values` replaces the column's own items, one for one. Empty where the row is null."""
    flat = (column.values if values is None else values).to_numpy(zero_copy_only=False)
    return [flat[start:end] for start, end in pairwise(column.offsets.to_numpy())]


def matrices(column: pa.ListArray) -> list[NDArray[Any]]:
    """A column of lists of equally long lists: one matrix per row, 0 × 0 where the row is null."""
    inner = ragged(column.values)
    return [np.stack(inner[a:b]) if b > a else np.zeros((0, 0)) for a, b in pairwise(column.offsets.to_numpy())]


def reason_change(reference: Units, candidate: Units, sign: int) -> float:
    """Half the L1 distance of the units' signed shares, 0 … 1: the share of the reasons that moved; lower is better.

    `sign` is −1 when the two sides explain a function of the logits and its negative, else 1.
    """
    if np.array_equal(reference.starts, candidate.starts) and np.array_equal(reference.ends, candidate.ends):
        return float(np.abs(sign * reference.shares - candidate.shares).sum() / 2)
    joined = align(_spans(reference, sign), _spans(candidate, 1))
    return sum(abs(a - b) for _, a, b in joined) / 2


def _spans(units: Units, sign: int) -> list[tuple[tuple[int, int], float]]:
    pairs = zip(units.starts.tolist(), units.ends.tolist(), strict=True)
    return list(zip(pairs, (sign * units.shares).tolist(), strict=True))


def _patches(values: NDArray[Any], content: NDArray[Any]) -> Units:
    place = np.flatnonzero(content)
    return Units(place, place + 1, values[place].astype(np.float64))
