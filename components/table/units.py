"""The units that shares belong to, words or image patches: at the same characters under any two tokenizers or segmentations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calig.pairs import SIDES
from components.table.rows import Row

Span = tuple[int, int]


def align(a: Sequence[tuple[Span, float]], b: Sequence[tuple[Span, float]]) -> list[tuple[Span, float, float]]:
    """Sum two segmentations of one text over their common refinement's joins: overlapping spans become one.

    Args:
        a, b: (span, value), sorted by span, not overlapping within a side.

    Returns:
        (span, value of a, value of b) per joined span; a side without a span there counts as 0.
    """
    tagged = sorted([(*span, value, 0.0) for span, value in a] + [(*span, 0.0, value) for span, value in b])
    joined: list[tuple[Span, float, float]] = []
    for start, end, value_a, value_b in tagged:
        if joined and start < joined[-1][0][1]:
            (first, last), sum_a, sum_b = joined[-1]
            joined[-1] = ((first, max(last, end)), sum_a + value_a, sum_b + value_b)
        else:
            joined.append(((start, end), value_a, value_b))
    return joined


Floats = NDArray[np.float64]


def finite(row: Row) -> Row:
    """The row; without any attribution where that holds NaN or infinite values, which would spread to every mean over rows."""
    layers = np.array(row["layers"], dtype=float)
    own = [row["f_input"], row["f_baseline"], *row["values"], *(word["value"] for word in row["words"])]
    values = np.array(own, dtype=float)
    if np.isfinite(values).all() and np.isfinite(layers).all():
        return row
    words = [{**word, "value": 0.0} for word in row["words"]]
    nothing = {"values": [0.0] * len(row["values"]), "words": words, "layers": np.zeros_like(layers).tolist()}
    return {**row, **nothing, "f_input": 0.0, "f_baseline": 0.0}


def units_of(row: Row) -> list[tuple[Span, float]]:
    """Words with their spans; for images each patch stands at its own position."""
    if row["text"] is not None:
        return [((w["start"], w["end"]), w["value"]) for w in row["words"]]
    return [((i, i + 1), v) for i, (v, content) in enumerate(zip(row["values"], row["content"], strict=True)) if content]


def name_of(row: Row, span: Span) -> str:
    """The words at `span`, of a pair with the text that they are in: `film [text_pair]`; or the name of the patch."""
    if row["text"] is None:
        return str(row["tokens"][span[0]])
    return f"{row['text'][slice(*span)]}{_side_mark(row, span)}"


#: What follows a word's name where rows are pairs: one word in the two texts is two, for it says other things there.
_SIDE_MARKS = tuple(f" [{side}]" for side in SIDES)


def _side_mark(row: Row, span: Span) -> str:
    start = row.get("pair_start")
    return "" if start is None else _SIDE_MARKS[span[0] >= start]


def parted(name: str) -> tuple[str, str]:
    """The words of a name that `name_of` or `phrase_name` gave, as they stand in their text, and its mark of a side, or none."""
    mark = next((mark for mark in _SIDE_MARKS if name.endswith(mark)), "")
    return name.removesuffix(mark), mark


def without_side(name: str) -> str:
    """The words of a name alone."""
    return parted(name)[0]


def phrase_name(words: Sequence[str]) -> str:
    """One name for the names of neighbouring words, which are of one text: `good film [text_pair]`."""
    return " ".join([*map(without_side, words[:-1]), *words[-1:]])


def reason_change(reference: Floats, candidate: Floats) -> Floats:
    """The share of the reasons that moved, 0 … 1: half the L1 distance of the units' signed shares, over the last axis."""
    return np.asarray(np.abs(candidate - reference).sum(axis=-1) / 2)


def layer_shares(row: Row) -> Floats:
    """Share of the absolute relevance on content tokens per layer, `layers`."""
    content = np.array(row["content"])
    mass = np.abs(np.array(row["layers"], dtype=float)[:, content]).sum(1)
    return mass / mass.sum() if mass.sum() > 0 else np.full(len(mass), 1 / len(mass))


def layers_by_unit(row: Row, spans: Sequence[Span]) -> Floats:
    """Signed shares of the units in each layer's own attribution, `layers units`; a layer without any is zero."""
    layers = np.array(row["layers"], dtype=float)
    sums = np.zeros((len(layers), len(spans)))
    token, unit = _units_of_tokens(row, spans)
    np.add.at(sums.T, unit, layers[:, token].T)
    mass = np.abs(sums).sum(1, keepdims=True)
    return np.asarray(sums / np.where(mass > 0, mass, 1.0))


def _units_of_tokens(row: Row, spans: Sequence[Span]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Tokens that belong to a unit, and its index; a token may begin with the blank before its word."""
    token = np.flatnonzero(row["content"])
    start, end = (token, token + 1) if row["text"] is None else (np.array(row[name])[token] for name in ("starts", "ends"))
    firsts, lasts = np.array(spans, dtype=int).reshape(-1, 2).T
    unit = np.searchsorted(lasts, start, side="right")
    inside = unit < len(spans)
    inside[inside] = firsts[unit[inside]] < end[inside]
    return token[inside], unit[inside]
