"""Columns of the page's data: units with their relevance, the reference's rows, and numbers quantised, compressed, as base64."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.report.answers import ANSWER_COLUMNS, Answer, answer_of
from components.table.orientation import COLUMNS, sign_between
from components.table.reader import iter_batches
from components.table.units import align, reason_change

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


def quantised(values: NDArray[np.float64], dtype: type[np.integer[Any]]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Codes of `dtype`, shaped as `values`, and steps in the values' unit, one per last axis: value ≈ code × step.

    The largest size takes the largest code, so the error is at most half a step: 1/65,534 of the largest size in 16 bits,
    1/254 in 8 bits, 1/510 in 8 bits without a sign. Where nothing is there, all is zero, or something is not finite, codes
    and step are 0.
    """
    limits = np.iinfo(dtype)
    steps = (np.abs(values).max(axis=-1, initial=0.0) / limits.max).astype(np.float32)
    usable = np.isfinite(steps) & (steps > 0)
    divisors = np.where(usable, steps, np.inf).astype(np.float64)[..., None]
    codes = np.rint(np.where(usable[..., None], values, 0.0) / divisors)
    return np.clip(codes, limits.min, limits.max).astype(dtype), np.where(usable, steps, np.float32(0))


Column = NDArray[Any] | Sequence[Any]

#: Every column of numbers begins at a multiple of this many bytes, so that the browser can read it in place.
_ALIGNMENT = 8


def pack(columns: Mapping[str, Column]) -> str:
    """Base64 of zlib of: header length (4 bytes), JSON header, then the numbers of each column; all little-endian.

    Arrays keep their type: int8 … int32, uint8 … uint32 or float32. Any other column is a list in the header.
    """
    places: list[list[Any]] = []
    body = bytearray()
    for name, column in columns.items():
        if isinstance(column, np.ndarray):
            places.append([name, column.dtype.name, len(body), column.size])
            body += _padded(column.astype(column.dtype.newbyteorder("<")).tobytes())
    lists = {name: column for name, column in columns.items() if not isinstance(column, np.ndarray)}
    header = json.dumps({"numbers": places, "lists": lists}, ensure_ascii=False, separators=(",", ":")).encode()
    start = _padded(len(header).to_bytes(4, "little") + header, fill=b" ")
    return base64.b64encode(zlib.compress(start + bytes(body))).decode()


def _padded(content: bytes, fill: bytes = b"\0") -> bytes:
    return content + fill * (-len(content) % _ALIGNMENT)


@dataclass(frozen=True, slots=True)
class Reference:
    """One row under the reference version: its answer, what was explained (the columns of `orientation`), and its units."""

    answer: Answer
    explained: Mapping[str, Any]
    units: Units

    def toward(self, row: Mapping[str, Any]) -> Reference:
        """Turned, where that makes it speak for the target of the candidate's `row`."""
        if sign_between(self.explained, row) != -1:
            return self
        turned = Units(self.units.starts, self.units.ends, -self.units.values)
        return Reference(self.answer, {name: row[name] for name in COLUMNS}, turned)

    def drift(self, row: Mapping[str, Any], units: Units) -> float:
        """How far the reasons moved to those of the candidate's `row`, 0 … 1; NaN when they are not reasons for one thing."""
        between = sign_between(self.explained, row)
        return float("nan") if between is None else aligned_reason_change(self.units, units, between)


def read_references(paths: Iterable[Path], ids: Collection[str]) -> dict[str, Reference]:
    """Those of the rows `ids` that the reference version explained, by id."""
    found: dict[str, Reference] = {}
    for batch in iter_batches(paths, (*UNIT_COLUMNS, "id", *ANSWER_COLUMNS, *COLUMNS), explained=True, among=("id", ids)):
        rows = batch.select(["id", *ANSWER_COLUMNS, *COLUMNS]).to_pylist()
        for row, units in zip(rows, units_in(batch), strict=True):
            found[row["id"]] = Reference(answer_of(row), {name: row[name] for name in COLUMNS}, units)
    return found
