"""Rows of the attribution table for the page: the few that are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.report.answers import ANSWER_COLUMNS, Answer, answer_of
from components.table import gold
from components.table.reader import iter_batches

_DRAWN = [
    *(
        "row",
        "id",
        "text",
        "pair_start",
        "image",
        "segments",
        "probability",
        "target",
        "f_input",
        "f_baseline",
        "tokens",
    ),
    *("content", "values", "words", "residuals", "converged", "coverage"),
]


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
    pair_start: int | None
    image: str | None
    gold: str | None
    wrong: bool
    segments: tuple[tuple[str, str], ...]
    answer: Answer
    probability: float | None
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

    answer: Answer
    target: str
    words: tuple[Word, ...]


def read_drawn(paths: Iterable[Path], rows: Iterable[int]) -> dict[int, Drawn]:
    """The rows to draw, by their position in the data set."""
    return {record["row"]: _drawn(record) for record in _records(paths, [*_DRAWN, *gold.COLUMNS], ("row", sorted(rows)))}


def read_image_paths(paths: Iterable[Path], ids: Iterable[str]) -> dict[str, str]:
    """Where the pictures of these examples lie, by id."""
    records = _records(paths, ["id", "image"], ("id", sorted(ids)))
    return {record["id"]: record["image"] for record in records if record["image"] is not None}


def read_reference(paths: Iterable[Path], ids: Iterable[str]) -> dict[str, ReferenceRow]:
    """The reference version's words on the examples drawn, by id."""
    records = _records(paths, ["id", *ANSWER_COLUMNS, "target", "words"], ("id", sorted(ids)))
    return {record["id"]: ReferenceRow(answer_of(record), record["target"], _words(record["words"])) for record in records}


def _records(paths: Iterable[Path], columns: list[str], among: tuple[str, list[Any]] | None = None) -> Iterator[dict[str, Any]]:
    """The explained rows, of `among` a column and its values only those that have one of these."""
    for batch in iter_batches(paths, columns, explained=True, among=among):
        yield from batch.to_pylist(maps_as_pydicts="strict")


def _drawn(record: dict[str, Any]) -> Drawn:
    plain = {name: _frozen(record[name]) for name in _DRAWN}
    segments, words = tuple((plain.pop("segments") or {}).items()), _words(record["words"])
    answered = {"answer": answer_of(record), "gold": gold.gold_text(record), "wrong": gold.is_wrong(record)}
    return Drawn(**plain | {"segments": segments, "words": words} | answered)


def _words(words: list[dict[str, Any]] | None) -> tuple[Word, ...]:
    return tuple(sorted((Word(**word) for word in words or ()), key=lambda word: word.start))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
