"""Attribution tables as the peers see them: the words of each row with both sides' values, and both sides' probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.table.orientation import COLUMNS, orientation, sign_between

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Both:
    """One row under both versions: its words, case folded, and their attributions in logits toward one class, `words`."""

    words: tuple[str, ...]
    reference: Floats
    candidate: Floats


def read(path: Path) -> list[dict[str, Any]]:
    """The explained rows of a table."""
    columns = ["id", "label", "predicted", "logits", "words", "problem", *COLUMNS]
    return [row for row in pq.read_table(path, columns=columns).to_pylist() if row["problem"] is None]


def both(reference: list[dict[str, Any]], candidate: list[dict[str, Any]], labels: tuple[str, ...]) -> list[Both]:
    """Rows that both sides explain by one function of the logits or its negative, turned as the product turns them."""
    by_id = {row["id"]: row for row in candidate}
    pairs = [(a, by_id[a["id"]], sign_between(a, by_id[a["id"]])) for a in reference if a["id"] in by_id]
    comparable = [(a, b, between, orientation(a, labels).sign) for a, b, between in pairs if between is not None]
    return [Both(_words(a), sign * _values(a), sign * between * _values(b)) for a, b, between, sign in comparable]


def probabilities(rows: list[dict[str, Any]]) -> Floats:
    """Softmax of the logits: `rows classes`."""
    logits = np.array([row["logits"] for row in rows], dtype=float)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _words(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(word["text"].casefold() for word in row["words"])


def _values(row: dict[str, Any]) -> Floats:
    return np.array([word["value"] for word in row["words"]], dtype=float)
