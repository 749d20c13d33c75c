"""Words of a text or patches of an image with their relevance, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.table.alignment import align
from components.table.units import reason_change

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

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


def aligned_reason_change(reference: Units, candidate: Units, sign: int) -> float:
    """`reason_change` of units that may be cut differently; lower is better.

    `sign` is −1 when the two sides explain a function of the logits and its negative, else 1.
    """
    if np.array_equal(reference.starts, candidate.starts) and np.array_equal(reference.ends, candidate.ends):
        return float(reason_change(sign * reference.shares, candidate.shares))
    joined = align(_spans(reference, sign), _spans(candidate, 1))
    return float(reason_change(np.array([a for _, a, _ in joined]), np.array([b for _, _, b in joined])))


def _spans(units: Units, sign: int) -> list[tuple[tuple[int, int], float]]:
    pairs = zip(units.starts.tolist(), units.ends.tolist(), strict=True)
    return list(zip(pairs, (sign * units.shares).tolist(), strict=True))


def _patches(values: NDArray[Any], content: NDArray[Any]) -> Units:
    place = np.flatnonzero(content)
    return Units(place, place + 1, values[place].astype(np.float64))
