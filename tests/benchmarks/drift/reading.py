"""Attribution tables as the peers see them: the words of each row with both sides' values, and both sides' probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Both:
    """One row under both versions: its words, case folded, and their attributions in logits toward one class, `words`."""

    words: tuple[str, ...]
    reference: Floats
    candidate: Floats


def read(path: Path) -> list[dict[str, Any]]:
    """The explained rows of a table."""
    columns = ["id", "label", "predicted", "target", "logits", "words", "problem"]
    return [row for row in pq.read_table(path, columns=columns).to_pylist() if row["problem"] is None]


def both(reference: list[dict[str, Any]], candidate: list[dict[str, Any]], labels: tuple[str, ...]) -> list[Both]:
    """Rows explained toward one class on both sides; with two classes all are, the first one counting with its sign turned."""
    two = len(labels) == 2
    pairs = [(a, b) for a, b in zip(reference, candidate, strict=True) if two or a["target"] == b["target"]]
    signs = [[1.0 if not two or row["target"] == labels[1] else -1.0 for row in pair] for pair in pairs]
    return [Both(_words(a), sa * _values(a), sb * _values(b)) for (a, b), (sa, sb) in zip(pairs, signs, strict=True)]


def probabilities(rows: list[dict[str, Any]]) -> Floats:
    """Softmax of the logits: `rows classes`."""
    logits = np.array([row["logits"] for row in rows], dtype=float)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _words(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(word["text"].casefold() for word in row["words"])


def _values(row: dict[str, Any]) -> Floats:
    return np.array([word["value"] for word in row["words"]], dtype=float)
