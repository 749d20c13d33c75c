"""Index of the rows: what the list shows, filters and sorts by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.report.answers import answer_of
from components.report.payload.columns import Column, ragged
from components.table import gold
from components.table.orientation import COLUMNS
from components.table.reader import iter_batches

_PLAIN = (
    *("row", "id", "probability", "f_input", "f_baseline", "converged", "coverage", "problem"),
    *COLUMNS,
)
_GOLD = tuple(name for name in gold.COLUMNS if name not in COLUMNS)

#: Bits of the column `flags`; scripts/rows.js has the same.
WRONG, CHANGED, UNCONVERGED, REASONS, PROBLEM = 1, 2, 4, 8, 16


def read_index(paths: Iterable[Path]) -> dict[int, dict[str, Any]]:
    """The light columns of every row, also of those without attribution, by position in the data set."""
    found = {}
    for batch in iter_batches(paths, (*_PLAIN, *_GOLD, "segments", "residuals")):
        logits, residuals = ragged(batch["logits"]), ragged(batch["residuals"])
        segments = batch["segments"].to_pylist()
        answered = batch.select(list(gold.COLUMNS)).to_pylist(maps_as_pydicts="strict")
        for i, row in enumerate(batch.select(list(_PLAIN)).to_pylist()):
            row |= {
                "answer": None if answered[i]["predicted"] is None else answer_of(answered[i]),
                "predicted": answered[i]["predicted"],
                "label": gold.gold_text(answered[i]),
                "wrong": row["problem"] is None and gold.is_wrong(answered[i]),
                "segments": dict(segments[i] or ()),
                "margin": margin(logits[i]),
                "residual": residuals[i].max() if len(residuals[i]) else None,
            }
            found[row["row"]] = row
    return found


def margin(logits: NDArray[Any]) -> float:
    """The largest logit less the second; NaN with fewer than two."""
    return float(np.subtract(*np.sort(logits)[:-3:-1])) if len(logits) > 1 else float("nan")


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
