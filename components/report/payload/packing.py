"""Rows packed for the page: units, layer × unit flow summed from the tokens, and their codes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calig.words import word_owners
from components.report.drawing import heat
from components.report.drawing.heat import MAX_CHARACTERS
from components.report.payload.columns import (
    UNIT_COLUMNS,
    Floats,
    Integers,
    Reference,
    Units,
    matrices,
    quantised,
    ragged,
    units_in,
)
from components.table.orientation import COLUMNS
from components.table.reader import iter_batches

#: Most words of a text whose layers are shown; the rest are summed. All patches of an image are shown.
MAX_WORDS = 40


@dataclass(frozen=True, slots=True)
class Flow:
    """Relevance in logits by layer: `cells` is `layers places`, one place per shown unit, then the rest, then special tokens.

    Every row of `cells` sums to f(x) − f(x') up to the layer's residual. `attention` is what attention rollout carries
    from each place to the read-out position, `places`, ≥ 0; all zeros when it is not known.
    """

    shown: Integers
    cells: Floats
    attention: Floats


@dataclass(frozen=True, slots=True)
class Tokens:
    """A row's tokens: characters (−1 for special ones and patches), content or not, `seq`; relevance `layers seq`."""

    starts: NDArray[Any]
    ends: NDArray[Any]
    content: NDArray[np.bool_]
    layers: NDArray[Any]
    attention: NDArray[Any]


def flow_of(units: Units, tokens: Tokens, n_drawn: int, *, all_units: bool) -> Flow:
    """The flow over the strongest `MAX_WORDS` of the first `n_drawn` units, in reading order, or over all of them."""
    shown = np.arange(n_drawn) if all_units else strongest(units.values[:n_drawn], MAX_WORDS)
    place = np.full(len(units.values) + 1, len(shown))  # what is not shown is summed as the rest …
    place[shown] = np.arange(len(shown))
    place[-1] = len(shown) + 1  # … and special tokens come last
    of_token = place[owners(units, tokens)]
    cells = np.zeros((len(shown) + 2, len(tokens.layers)))
    np.add.at(cells, of_token, tokens.layers.T)
    attention = np.zeros(len(shown) + 2)
    if len(tokens.attention) == len(of_token):
        np.add.at(attention, of_token, tokens.attention)
    return Flow(shown, np.ascontiguousarray(cells.T), attention)


def owners(units: Units, tokens: Tokens) -> Integers:
    """The unit that each token belongs to, `seq`; −1 for special tokens."""
    if not len(units.values):
        return np.full(len(tokens.content), -1)
    patch = np.minimum(np.cumsum(tokens.content) - 1, len(units.values) - 1)
    word = word_owners(units.starts, units.ends, tokens.starts, tokens.ends)
    return np.where(tokens.content, np.where(tokens.starts < 0, patch, word), -1)


def strongest(values: Floats, most: int) -> Integers:
    """Indices of the `most` values of the largest size, in reading order."""
    return np.sort(np.argsort(-np.abs(values), kind="stable")[:most])


_PLAIN = ("row", "id", "text", "pair_start", "image", *COLUMNS)
_RAGGED = ("starts", "ends", "content", "values", "attention_rollout", "residuals", "n_points")
_NO_UNITS = Units(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True, slots=True)
class PackedUnits:
    """Where units lie (characters since the end of the one before, and their length) and their relevance."""

    gaps: NDArray[np.uint16]
    lengths: NDArray[np.uint16]
    codes: NDArray[np.int16]
    step: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PackedLayers:
    """A `Flow`: cells `layers places`, their step and exact total per layer, residual and path points per layer."""

    shown: NDArray[np.uint16]
    cells: NDArray[np.int8]
    steps: NDArray[np.float32]
    totals: NDArray[np.float32]
    attention: NDArray[np.uint8]
    attention_step: NDArray[np.float32]
    residuals: NDArray[np.float32]
    n_points: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One row; `special` is the relevance of the tokens outside all units, in logits; `grid` is rows, columns of patches;
    `pair_start` is where the second text of a pair begins, −1 where there is none.
    """

    id: str
    text: str
    n_characters: int
    pair_start: int
    image: str | None
    grid: tuple[int, int]
    units: PackedUnits
    reference: PackedUnits
    special: float
    drift: float
    layers: PackedLayers


def packed_rows(
    paths: Iterable[Path], wanted: Collection[int], references: Mapping[str, Reference]
) -> Iterator[tuple[int, PackedRow]]:
    """Position in the data set and packed row, for the `wanted` positions, in the tables' order."""
    columns = dict.fromkeys((*UNIT_COLUMNS, *_PLAIN, *_RAGGED, "tokens", "layers"))
    for batch in iter_batches(paths, columns, among=("row", wanted)):
        plain, arrays = batch.select(list(_PLAIN)).to_pylist(), {name: ragged(batch[name]) for name in _RAGGED}
        units, layers = units_in(batch), matrices(batch["layers"])
        for i, row in enumerate(plain):
            row |= {name: array[i] for name, array in arrays.items()}
            row |= {"units": units[i], "layers": layers[i], "tokens": batch["tokens"][i].as_py() if row["image"] else []}
            yield row["row"], _packed(row, references.get(row["id"]))


def _packed(row: Mapping[str, Any], reference: Reference | None) -> PackedRow:
    units, text = row["units"], row["text"] or ""
    packed = packed_units(units)
    content = row["content"].astype(bool)
    tokens = Tokens(row["starts"], row["ends"], content, row["layers"], row["attention_rollout"])
    flow = flow_of(units, tokens, len(packed.codes), all_units=row["image"] is not None)
    return PackedRow(
        id=row["id"],
        text=text[:MAX_CHARACTERS],
        n_characters=len(text),
        pair_start=-1 if row["pair_start"] is None else row["pair_start"],
        image=row["image"],
        grid=_grid(row["tokens"], content),
        units=packed,
        reference=packed_units(reference.toward(row).units if reference else _NO_UNITS),
        special=_beside(row["values"], units),
        drift=reference.drift(row, units) if reference else float("nan"),
        layers=packed_layers(flow, row["residuals"], row["n_points"]),
    )


def _beside(values: NDArray[Any], units: Units) -> float:
    """Relevance on no unit: that of special tokens; NaN where the attribution is not finite."""
    total = float(values.sum(dtype=float))
    return round(total - float(units.values.sum()), 6) if math.isfinite(total) else math.nan  # less is rounding noise


def packed_units(units: Units) -> PackedUnits:
    """The units within the first `MAX_CHARACTERS`; one that overlaps its predecessor keeps only what is left of it."""
    n = int(np.searchsorted(units.starts, MAX_CHARACTERS))
    ends = np.maximum.accumulate(units.ends[:n])
    before = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[:n]
    starts = np.maximum(units.starts[:n], before)
    lengths = np.maximum(0, np.minimum(ends, MAX_CHARACTERS) - starts)
    codes, step = quantised(units.values[:n], np.int16)
    return PackedUnits((starts - before).astype(np.uint16), lengths.astype(np.uint16), codes, step)


def packed_layers(flow: Flow, residuals: NDArray[Any], n_points: NDArray[Any]) -> PackedLayers:
    """Cells with one step per layer, so that a weak layer is as exact as a strong one."""
    cells, steps = quantised(flow.cells, np.int8)
    attention, attention_step = quantised(np.maximum(flow.attention, 0.0), np.uint8)
    return PackedLayers(
        shown=flow.shown.astype(np.uint16),
        cells=cells,
        steps=steps,
        totals=flow.cells.sum(axis=1).astype(np.float32),
        attention=attention,
        attention_step=attention_step,
        residuals=residuals.astype(np.float32),
        n_points=np.minimum(n_points, np.iinfo(np.uint16).max).astype(np.uint16),
    )


def _grid(tokens: list[str], content: NDArray[np.bool_]) -> tuple[int, int]:
    """Rows and columns of an image's patches; 0, 0 for a text, and when they do not form a grid."""
    return heat.grid_shape([tokens[i] for i in np.flatnonzero(content)] if tokens else []) or (0, 0)
