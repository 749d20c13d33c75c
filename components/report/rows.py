"""Rows of the attribution table for the page: a few columns of every row, more of the few that are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.table.reader import iter_batches

_BRIEF = ["row", "id", "predicted", "label", "converged", "residuals", "n_points"]
_DRAWN = [
    *("row", "id", "text", "image", "label", "segments", "predicted", "probability", "target", "f_input", "f_baseline", "tokens"),
    *("content", "values", "words", "residuals", "converged", "coverage"),
]


@dataclass(frozen=True, slots=True)
class Brief:
    """What every explained row is chosen by. `residuals` and `n_points` have one entry per layer."""

    row: int
    id: str
    predicted: str
    label: str | None
    converged: bool
    residuals: tuple[float, ...]
    n_points: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text (character offsets, end exclusive) with its relevance in logits of the target."""

    text: str
    start: int
    end: int
    value: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """One explained row to draw: columns as in schemas/attribution.py."""

    row: int
    id: str
    text: str | None
    image: str | None
    label: str | None
    segments: tuple[tuple[str, str], ...]
    predicted: str
    probability: float
    target: str
    f_input: float
    f_baseline: float
    tokens: tuple[str, ...]
    content: tuple[bool, ...]
    values: tuple[float, ...]
    words: tuple[Word, ...]
    residuals: tuple[float, ...]
    converged: bool
    coverage: float | None


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """The reference version's answer and words on the same example."""

    predicted: str
    target: str
    words: tuple[Word, ...]


def read_briefs(paths: Iterable[Path]) -> list[Brief]:
    """Every explained row, in the order of the data set; rows with a problem are left out."""
    briefs = (Brief(**{name: _frozen(value) for name, value in record.items()}) for record in _records(paths, _BRIEF))
    return sorted(briefs, key=lambda brief: brief.row)


def read_drawn(paths: Iterable[Path], rows: Iterable[int]) -> dict[int, Drawn]:
    """The rows to draw, by their position in the data set."""
    return {record["row"]: _drawn(record) for record in _records(paths, _DRAWN, ("row", sorted(rows)))}


def read_answers(paths: Iterable[Path]) -> dict[str, str]:
    """The predicted class of every explained row, by id."""
    return {record["id"]: record["predicted"] for record in _records(paths, ["id", "predicted"])}


def read_image_paths(paths: Iterable[Path], ids: Iterable[str]) -> dict[str, str]:
    """Where the pictures of these examples lie, by id."""
    records = _records(paths, ["id", "image"], ("id", sorted(ids)))
    return {record["id"]: record["image"] for record in records if record["image"] is not None}


def read_reference(paths: Iterable[Path], ids: Iterable[str]) -> dict[str, ReferenceRow]:
    """The reference version's words on the examples drawn, by id."""
    records = _records(paths, ["id", "predicted", "target", "words"], ("id", sorted(ids)))
    return {record["id"]: ReferenceRow(record["predicted"], record["target"], _words(record["words"])) for record in records}


def _records(paths: Iterable[Path], columns: list[str], among: tuple[str, list[Any]] | None = None) -> Iterator[dict[str, Any]]:
    """The explained rows, of `among` a column and its values only those that have one of these."""
    for batch in iter_batches(paths, columns, explained=True, among=among):
        yield from batch.to_pylist(maps_as_pydicts="strict")


def _drawn(record: dict[str, Any]) -> Drawn:
    segments = tuple((record.pop("segments") or {}).items())
    words = _words(record.pop("words"))
    return Drawn(segments=segments, words=words, **{name: _frozen(value) for name, value in record.items()})


def _words(words: list[dict[str, Any]] | None) -> tuple[Word, ...]:
    return tuple(sorted((Word(**word) for word in words or ()), key=lambda word: word.start))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
