"""Rows of the attribution table for the page: a few columns of all, more of the few that are drawn, those worth a look first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.report.answers import ANSWER_COLUMNS, Answer, answer_of
from components.table import gold
from components.table.reader import iter_batches

_BRIEF = ["row", "id", "converged", "residuals", "n_points"]
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
class Brief:
    """What every explained row is chosen by. `residuals` and `n_points` have one entry per layer."""

    row: int
    id: str
    answer: Answer
    wrong: bool
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


def read_briefs(paths: Iterable[Path]) -> list[Brief]:
    """Every explained row, in the order of the data set; rows with a problem are left out."""
    return sorted((_brief(record) for record in _records(paths, [*_BRIEF, *gold.COLUMNS])), key=lambda brief: brief.row)


def read_drawn(paths: Iterable[Path], rows: Iterable[int]) -> dict[int, Drawn]:
    """The rows to draw, by their position in the data set."""
    return {record["row"]: _drawn(record) for record in _records(paths, [*_DRAWN, *gold.COLUMNS], ("row", sorted(rows)))}


def read_answers(paths: Iterable[Path]) -> dict[str, Answer]:
    """The answer to every explained row, by id."""
    return {record["id"]: answer_of(record) for record in _records(paths, ["id", *ANSWER_COLUMNS])}


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


def _brief(record: dict[str, Any]) -> Brief:
    plain = {name: _frozen(record[name]) for name in _BRIEF}
    return Brief(answer=answer_of(record), wrong=gold.is_wrong(record), **plain)


def _drawn(record: dict[str, Any]) -> Drawn:
    plain = {name: _frozen(record[name]) for name in _DRAWN}
    segments, words = tuple((plain.pop("segments") or {}).items()), _words(record["words"])
    answered = {"answer": answer_of(record), "gold": gold.gold_text(record), "wrong": gold.is_wrong(record)}
    return Drawn(**plain | {"segments": segments, "words": words} | answered)


def _words(words: list[dict[str, Any]] | None) -> tuple[Word, ...]:
    return tuple(sorted((Word(**word) for word in words or ()), key=lambda word: word.start))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_SHARE = 5  # each of the four special groups may take one fifth of the examples


@dataclass(frozen=True, slots=True)
class Group:
    """Rows taken for one reason; `found` counts all such rows, also those not drawn."""

    name: str
    why: str
    rows: tuple[int, ...]
    found: int


def choose(briefs: list[Brief], limit: int, changed_reasons: Iterable[str], changed_answers: Set[str]) -> list[Group]:
    """At most `limit` rows in groups, no row twice, the same for the same input.

    Args:
        briefs: all explained rows, in the order of the data set.
        limit: most rows drawn.
        changed_reasons: ids from the drift report, worst first (same answer, different reason).
        changed_answers: ids whose answer is another one than the reference's.
    """
    by_id = {brief.id: brief for brief in briefs}
    wrong = [brief for brief in briefs if brief.wrong]
    special = [
        ("reasons changed", "same answer, but the reasons changed most", [by_id[i] for i in changed_reasons if i in by_id]),
        ("not converged", "the integral did not converge", [brief for brief in briefs if not brief.converged]),
        (
            "answer changed",
            "the reference version answered otherwise",
            [brief for brief in briefs if brief.id in changed_answers],
        ),
        ("wrong", "the prediction differs from the gold label", wrong),
    ]
    groups: list[Group] = []
    taken: set[int] = set()
    for name, why, candidates in special:
        groups.append(_take(name, why, candidates, min(max(1, limit // _SHARE), limit - len(taken)), taken))
    groups.append(_take("in order", "the first remaining rows of the data set", briefs, limit - len(taken), taken))
    return [group for group in groups if group.rows]


def ranked(briefs: Iterable[Brief], changed_reasons: Sequence[str], changed_answers: Set[str]) -> list[int]:
    """All rows, those most worth a look first; arguments as for `choose`. Equals stay in the order of the data set."""
    place = {key: rank for rank, key in enumerate(changed_reasons)}
    last = len(place)

    def urgency(brief: Brief) -> tuple[int, bool, bool, bool]:
        return place.get(brief.id, last), brief.converged, brief.id not in changed_answers, not brief.wrong

    return [brief.row for brief in sorted(briefs, key=urgency)]


def _take(name: str, why: str, candidates: list[Brief], most: int, taken: set[int]) -> Group:
    fresh = [brief.row for brief in candidates if brief.row not in taken][:most]
    taken.update(fresh)
    return Group(name, why, tuple(fresh), len(candidates))
