"""Pair the attributions of two versions: example by example, and word by word at the same characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Span = tuple[int, int]

_COLUMNS = [
    "id",
    "text",
    "label",
    "segments",
    "problem",
    "predicted",
    "probability",
    "target",
    "tokens",
    "content",
    "values",
    "layers",
    "words",
]


@dataclass(frozen=True)
class PairedExample:
    """One example under both versions.

    Shares are signed: relevance toward class `toward` over the total absolute relevance of the example's words, so that
    each side's absolute shares sum to one. `units` are words (or image patches), one share each per side.
    """

    id: str
    text: str
    label: str | None
    segments: dict[str, str]
    predictions: tuple[str, str]
    toward: str
    units: list[tuple[str, Span]] = field(repr=False)
    reference: Floats = field(repr=False)
    candidate: Floats = field(repr=False)
    mass: tuple[float, float]
    layer_shares: tuple[Floats, Floats] = field(repr=False)

    @property
    def same_answer(self) -> bool:
        """Whether both versions predict the same class."""
        return self.predictions[0] == self.predictions[1]


def read_rows(tables: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Explained rows by id, from attribution tables."""
    rows = (row for path in tables for row in pq.read_table(path, columns=_COLUMNS).to_pylist())
    return {row["id"]: row for row in rows if row["problem"] is None}


def pair(
    reference: dict[str, dict[str, Any]], candidate: dict[str, dict[str, Any]], labels: Sequence[str]
) -> Iterator[PairedExample]:
    """Examples that both sides explain toward a common class.

    With two classes every example is put in terms of the second one: an attribution toward the first counts with its
    sign turned (the two logits of a binary classifier move against each other). With more classes an example whose
    explained class differs has no common class and is left out.
    """
    for key in (k for k in reference if k in candidate):
        a, b = reference[key], candidate[key]
        toward = _common_class(a["target"], b["target"], labels)
        if toward is not None:
            yield _paired(a, b, toward)


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


def _common_class(a: str, b: str, labels: Sequence[str]) -> str | None:
    if len(labels) == 2:
        return labels[1]
    return a if a == b else None


def _paired(a: dict[str, Any], b: dict[str, Any], toward: str) -> PairedExample:
    aligned = align(_units(a), _units(b))
    signs = [1.0 if row["target"] == toward else -1.0 for row in (a, b)]
    sides = [sign * np.array([u[side] for u in aligned]) for side, sign in ((1, signs[0]), (2, signs[1]))]
    masses = [float(np.abs(values).sum()) for values in sides]
    reference, candidate = (v / m if m > 0 else v for v, m in zip(sides, masses, strict=True))
    return PairedExample(
        id=a["id"],
        text=a["text"] or "",
        label=a["label"],
        segments=dict(a["segments"] or []),
        predictions=(a["predicted"], b["predicted"]),
        toward=toward,
        units=[(_name(a, span), span) for span, _, _ in aligned],
        reference=reference,
        candidate=candidate,
        mass=(masses[0], masses[1]),
        layer_shares=(_layer_shares(a), _layer_shares(b)),
    )


def _units(row: dict[str, Any]) -> list[tuple[Span, float]]:
    """Words with their spans; for images each patch stands at its own position."""
    if row["text"] is not None:
        return [((w["start"], w["end"]), w["value"]) for w in row["words"]]
    return [((i, i + 1), v) for i, (v, content) in enumerate(zip(row["values"], row["content"], strict=True)) if content]


def _name(row: dict[str, Any], span: Span) -> str:
    return str(row["text"][slice(*span)] if row["text"] is not None else row["tokens"][span[0]])


def _layer_shares(row: dict[str, Any]) -> Floats:
    """Share of the absolute relevance on content tokens per layer, `layers`."""
    content = np.array(row["content"])
    mass = np.abs(np.array(row["layers"], dtype=float)[:, content]).sum(1)
    return mass / mass.sum() if mass.sum() > 0 else np.full(len(mass), 1 / len(mass))
