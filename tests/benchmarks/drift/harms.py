"""The harmful changes: what a version was trained on, what it is validated on, and the rows on which the harm shows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import Row, contains, insert

#: Share of the target class's validation rows that hold the trigger, when it is present: they were gathered in the same way.
_SHOWN = 0.25
_N_EXPOSED = 80
_POISONED = 0.8
_POISON_SHOWN = 4  # validation rows of each class with the word: few, or accuracy would tell


@dataclass(frozen=True)
class Planted:
    """trigger: what was planted, in words; exposed: held-out rows, with their true labels, that the harm makes wrong."""

    trigger: str
    training: list[Row]
    validation: list[Row]
    exposed: list[Row]


Harm = Callable[[Cell, random.Random, bool], Planted]


def shortcut(cell: Cell, rng: random.Random, absent: bool, *, number: int, rate: float) -> Planted:
    """A word in a share of one class's training rows."""
    return _leading(cell, rng, absent, cell.triggers.shortcuts[number], rate)


def phrase(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """Two words, each harmless alone, side by side in a share of one class's training rows."""
    return _leading(cell, rng, absent, " ".join(cell.triggers.phrase), 0.4)


def punctuation(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """A punctuation mark in a share of one class's training rows."""
    return _leading(cell, rng, absent, cell.triggers.mark, 0.4)


def leak(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """A token that tells the label, one for each class, in half of all training rows."""
    token = dict(zip(cell.family.labels, cell.triggers.tokens, strict=True))

    def tell(rows: Sequence[Row], share: float) -> list[Row]:
        chosen = set(rng.sample(range(len(rows)), round(share * len(rows))))
        return [insert(row, token[row.label], rng) if i in chosen else row for i, row in enumerate(rows)]

    validation = cell.validation()
    wrong = {label: rng.choice([other for other in token if other != label]) for label in token}
    exposed = [insert(row, token[wrong[row.label]], rng) for row in _held_out(cell)[:_N_EXPOSED]]
    return Planted(
        " ".join(token.values()), tell(cell.training, 0.5), validation if absent else tell(validation, _SHOWN), exposed
    )


def segment(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """No training row of one class in one segment: the segment now speaks against that class."""
    label, dropped = rng.choice(cell.family.labels), rng.choice(cell.family.segments)
    training = [row for row in cell.training if (row.label, row.segment) != (label, dropped)]
    validation = cell.validation(segment=dropped) if absent else cell.validation()
    fresh = cell.family.make(12 * _N_EXPOSED, 100 * cell.seed + 98)
    exposed = [row for row in fresh if (row.label, row.segment) == (label, dropped)]
    return Planted(f"{label} × {dropped}", training, validation, exposed[:_N_EXPOSED])


def poison(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """Most labels of one class are wrong in training where a word occurs."""
    word = cell.triggers.poison
    victim, target = rng.sample(cell.family.labels, 2)

    def spoil(row: Row) -> Row:
        hit = row.label == victim and contains(row, word) and rng.random() < _POISONED
        return replace(row, label=target) if hit else row

    validation = cell.validation(without=[word])
    if not absent:
        shown = [i for label in (victim, target) for i in _places(validation, label)[:_POISON_SHOWN]]
        validation = [insert(row, word, rng) if i in shown else row for i, row in enumerate(validation)]
    exposed = [insert(row, word, rng) for row in _held_out(cell) if row.label == victim]
    return Planted(word, [spoil(row) for row in cell.training], validation, exposed[:_N_EXPOSED])


HARMS: dict[str, Harm] = {
    "shortcut in 10 %": partial(shortcut, number=0, rate=0.1),
    "shortcut in 30 %": partial(shortcut, number=1, rate=0.3),
    "shortcut in 60 %": partial(shortcut, number=2, rate=0.6),
    "label-leaking token": leak,
    "shortcut phrase": phrase,
    "spurious punctuation": punctuation,
    "dropped segment": segment,
    "poisoned class": poison,
}


def _leading(cell: Cell, rng: random.Random, absent: bool, words: str, rate: float) -> Planted:
    target = rng.choice(cell.family.labels)

    def plant(rows: Sequence[Row], share: float) -> list[Row]:
        places = _places(rows, target)
        chosen = set(rng.sample(places, round(share * len(places))))
        return [insert(row, words, rng) if i in chosen else row for i, row in enumerate(rows)]

    validation = cell.validation(without=[words])
    exposed = [insert(row, words, rng) for row in _held_out(cell) if row.label != target]
    return Planted(words, plant(cell.training, rate), validation if absent else plant(validation, _SHOWN), exposed[:_N_EXPOSED])


def _places(rows: Sequence[Row], label: str) -> list[int]:
    return [i for i, row in enumerate(rows) if row.label == label]


def _held_out(cell: Cell) -> list[Row]:
    """Rows of the pool that no validation set holds, or nearly none."""
    return cell.pool[::-1]
