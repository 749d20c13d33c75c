"""Payload of the report's page: rows in blocks of columns (scripts/row.js), and the index of all rows (scripts/rows.js).

Bounded by the number of rows and the megabytes that the settings allow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.report.answers import answer_of, unit_of_outputs
from components.report.choice import Briefs, ranked
from components.report.drawing import heat
from components.report.payload.columns import Column, Reference, pack, ragged, read_references
from components.report.payload.packing import PackedRow, PackedUnits, packed_rows
from components.table import gold
from components.table.orientation import COLUMNS
from components.table.reader import iter_batches
from schemas.governance import GovernanceReport

Chunk = Sequence[PackedRow]
Columns = Mapping[str, Column]

#: Rows per block: what is unpacked at once when a row is looked at.
CHUNK = 250

#: Bits of the column `flags`; scripts/rows.js has the same.
WRONG, CHANGED, UNCONVERGED, REASONS, PROBLEM = 1, 2, 4, 8, 16

_INDEX_COLUMNS = (
    *("row", "id", "probability", "f_input", "f_baseline", "converged", "coverage", "problem"),
    *COLUMNS,
)
_LIGHT = tuple(dict.fromkeys((*_INDEX_COLUMNS, *gold.COLUMNS, "segments", "residuals")))


@dataclass(frozen=True, slots=True)
class Block:
    """A named piece of the payload; `data` is base64."""

    name: str
    data: str


@dataclass(frozen=True, slots=True)
class Embedded:
    """The payload, and for how many of the explained rows it has words, layers and pictures."""

    blocks: tuple[Block, ...]
    n_rows: int
    n_layers: int
    n_pictures: int

    @property
    def megabytes(self) -> float:
        """What the payload adds to the page."""
        return sum(len(block.data) for block in self.blocks) / 1e6


def embed(record: GovernanceReport, briefs: Briefs, tables: list[Path], reference_tables: list[Path]) -> Embedded:
    """Pack rows, those most worth a look first: words before pictures and layers, until the allowance is spent."""
    settings = record.config.report
    if not settings.rows or not briefs:
        return Embedded((), 0, 0, 0)
    order = ranked(briefs, settings.rows)
    light, unexplained = read_index(tables, order), read_unexplained(tables, settings.rows)
    known = read_references(reference_tables, [row["id"] for row in (*light.values(), *unexplained)])
    rows = dict(packed_rows(tables, order, known))
    filling = _Filling([rows[row] for row in order], settings.megabytes * 1e6)
    n_rows, n_layers, n_pictures = _fill(filling, record)
    listing = _Listing(known, {example.id for example in record.drift.worst}, unit_of_outputs(record.drift))
    listed = [listing.line(light[row], rows[row].drift) for row in order[:n_rows]]
    listed += [listing.line(row, None) for row in unexplained]
    whole = Block("index", pack(index_columns(listed)))
    return Embedded((whole, *filling.blocks) if n_rows else (), n_rows, n_layers, n_pictures)


def text_columns(chunk: Chunk) -> Columns:
    """Texts, how many characters each has in all, and where the second of a pair begins."""
    return {
        "text": [row.text for row in chunk],
        "characters": _numbers((row.n_characters for row in chunk), np.uint32),
        "pair_start": _numbers((row.pair_start for row in chunk), np.int32),
    }


def unit_columns(chunk: Chunk) -> Columns:
    """Words or patches with their relevance under both versions, ragged: `…_n` says how many each row has."""
    return {
        **_units("candidate", [row.units for row in chunk]),
        **_units("reference", [row.reference for row in chunk]),
        "special": _numbers((row.special for row in chunk), np.float32),
        "grid": np.array([row.grid for row in chunk], np.uint16).reshape(-1),
    }


def layer_columns(chunk: Chunk) -> Columns:
    """The flow of each row: `cells` is ragged, `layers × (shown + 2)` per row."""
    layers = [row.layers for row in chunk]
    return {
        "shown_n": _numbers((len(flow.shown) for flow in layers), np.uint16),
        "layers_n": _numbers((len(flow.steps) for flow in layers), np.uint16),
        "shown": np.concatenate([flow.shown for flow in layers]),
        "cells": np.concatenate([flow.cells.ravel() for flow in layers]),
        "attention": np.concatenate([flow.attention for flow in layers]),
        "attention_step": _numbers((flow.attention_step for flow in layers), np.float32),
        **{
            name: np.concatenate([getattr(flow, name) for flow in layers])
            for name in ("steps", "totals", "residuals", "n_points")
        },
    }


def picture_columns(processor: Path) -> Callable[[Chunk], Columns]:
    """JPEG bytes of what the model saw, `size` bytes per row: 0 when the file cannot be read."""

    def columns(chunk: Chunk) -> Columns:
        found = [heat.thumbnail(Path(row.image), processor) if row.image else b"" for row in chunk]
        joined = np.frombuffer(b"".join(found), np.uint8)
        return {"size": _numbers((len(content) for content in found), np.uint32), "jpeg": joined}

    return columns


def read_index(paths: Iterable[Path], rows: Collection[int]) -> dict[int, dict[str, Any]]:
    """The light columns of `rows`, by position in the data set."""
    batches = iter_batches(paths, _LIGHT, among=("row", rows))
    return {row["row"]: row for batch in batches for row in _light(batch)}


def read_unexplained(paths: Iterable[Path], most: int) -> list[dict[str, Any]]:
    """The same columns of the first rows without attribution."""
    batches = (batch.filter(batch["problem"].is_valid()) for batch in iter_batches(paths, _LIGHT))
    return list(islice((row for batch in batches for row in _light(batch)), most))


def _light(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    logits, residuals = ragged(batch["logits"]), ragged(batch["residuals"])
    segments = batch["segments"].to_pylist()
    answered = batch.select(list(gold.COLUMNS)).to_pylist(maps_as_pydicts="strict")
    for i, row in enumerate(batch.select(list(_INDEX_COLUMNS)).to_pylist()):
        yield row | {
            "answer": None if answered[i]["predicted"] is None else answer_of(answered[i]),
            "predicted": answered[i]["predicted"],
            "label": gold.gold_text(answered[i]),
            "wrong": row["problem"] is None and gold.is_wrong(answered[i]),
            "segments": dict(segments[i] or ()),
            "margin": margin(logits[i]),
            "residual": residuals[i].max() if len(residuals[i]) else None,
        }


def index_columns(rows: Sequence[dict[str, Any]]) -> dict[str, Column]:
    """`rows` in the order of the blocks, those without attribution last; names are codes into their list, −1 is none."""
    names = ("predicted", "label", "target", "reference", "reference_target")
    classes = sorted({row[name] for row in rows for name in names if row[name] is not None})
    floats = ("probability", "f_input", "f_baseline", "coverage", "margin", "residual", "drift", "reference_output")
    return {
        "classes": classes,
        "id": [row["id"] for row in rows],
        "problem": [row["problem"] for row in rows if row["problem"] is not None],
        "row": np.array([row["row"] for row in rows], np.uint32),
        "flags": np.array([row["flags"] for row in rows], np.uint8),
        **{name: _codes(rows, name, classes) for name in names},
        **{name: np.array([row[name] for row in rows], np.float32) for name in floats},
        **_segment_columns([row["segments"] for row in rows]),
    }


def margin(logits: NDArray[Any]) -> float:
    """The largest logit less the second; NaN with fewer than two."""
    return float(np.subtract(*np.sort(logits)[:-3:-1])) if len(logits) > 1 else float("nan")


class _Filling:
    """Packs chunk after chunk until the bytes are spent."""

    def __init__(self, rows: Sequence[PackedRow], allowed: float) -> None:
        self.blocks: list[Block] = []
        self.n = len(rows)
        self._rows = rows
        self._left = allowed

    def fill(self, kinds: Mapping[str, Callable[[Chunk], Columns]], n_rows: int) -> int:
        """Add the blocks of these kinds for the first `n_rows` rows; returns for how many there was room."""
        for start in range(0, n_rows, CHUNK):
            chunk = self._rows[start : min(start + CHUNK, n_rows)]
            made = [Block(f"{kind}-{start // CHUNK}", pack(columns(chunk))) for kind, columns in kinds.items()]
            self._left -= sum(len(block.data) for block in made)
            if self._left < 0:
                return start
            self.blocks += made
        return n_rows


def _fill(filling: _Filling, record: GovernanceReport) -> tuple[int, int, int]:
    """For how many rows there was room: words, layers, pictures."""
    n_rows = filling.fill({"text": text_columns, "units": unit_columns}, filling.n)
    is_image = record.model.modality == "image"
    n_pictures = filling.fill({"pictures": picture_columns(record.model.processor_path)}, n_rows) if is_image else 0
    return n_rows, filling.fill({"layers": layer_columns}, n_rows), n_pictures


@dataclass(frozen=True, slots=True)
class _Listing:
    """What lines of the index say beside the row itself: the reference's rows by id, the drift report's examples, their unit."""

    known: Mapping[str, Reference]
    worst: Set[str]
    unit: float | None

    def line(self, row: dict[str, Any], drift: float | None) -> dict[str, Any]:
        reference = self.known.get(row["id"])
        return row | {
            "reference": reference.answer.predicted if reference else None,
            "reference_output": reference.answer.output if reference else None,
            "reference_target": reference.toward(row).explained["target"] if reference else None,
            "drift": drift,
            "flags": sum(self._flags(row, reference)),
        }

    def _flags(self, row: dict[str, Any], reference: Reference | None) -> Iterator[int]:
        if row["problem"] is not None:
            yield PROBLEM
            return
        if row["wrong"]:
            yield WRONG
        if reference is not None and row["answer"].differs(reference.answer, self.unit):
            yield CHANGED
        if not row["converged"]:
            yield UNCONVERGED
        if row["id"] in self.worst:
            yield REASONS


def _units(side: str, units: Sequence[PackedUnits]) -> dict[str, Column]:
    return {
        f"{side}_n": _numbers((len(some.codes) for some in units), np.uint16),
        f"{side}_step": _numbers((some.step for some in units), np.float32),
        **{f"{side}_{name}": np.concatenate([getattr(some, name) for some in units]) for name in ("gaps", "lengths", "codes")},
    }


def _numbers(values: Any, dtype: type[np.generic]) -> NDArray[Any]:
    return np.fromiter(values, dtype)


def _segment_columns(segments: Sequence[dict[str, str]]) -> dict[str, Column]:
    """For segment number i: `segment_i` with codes into the list `segment_values_i`; the names are in `segments`."""
    names = list(dict.fromkeys(name for of_row in segments for name in of_row))
    columns: dict[str, Column] = {"segments": names}
    for i, name in enumerate(names):
        values = sorted({str(of_row[name]) for of_row in segments if of_row.get(name) is not None})
        place = {value: code for code, value in enumerate(values)}
        codes = [place.get(str(of_row.get(name)), -1) for of_row in segments]
        columns |= {f"segment_values_{i}": values, f"segment_{i}": np.array(codes, np.int32)}
    return columns


def _codes(rows: Sequence[dict[str, Any]], name: str, classes: Sequence[str]) -> NDArray[np.int32]:
    place = {value: code for code, value in enumerate(classes)}
    return np.array([place.get(row[name], -1) for row in rows], np.int32)
