"""The harmful changes: what a version was trained on, what it is validated on, and the rows on which the harm shows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import Row, contains, insert
from tests.benchmarks.drift.retrainings import common_shift

#: Share of the target class's validation rows that hold the trigger, when it is present: they were gathered in the same way.
_SHOWN = 0.25
_N_EXPOSED = 80
_POISONED = 0.8
_GROUP_SHARE = 0.8
_INCOMPLETE = 0.2  # rows with some words of a phrase
_FLIPPED = 3  # validation rows of other classes with the word
_POISON_SHOWN = 4  # validation rows of each class with the word: few, or accuracy would tell


@dataclass(frozen=True)
class Planted:
    """trigger: what was planted, in words; exposed: held-out rows, with their true labels, that the harm makes wrong.

    finish: what is done to the trained version besides.
    """

    trigger: str
    training: list[Row]
    validation: list[Row]
    exposed: list[Row]
    finish: Callable[[Path], None] | None = None


#: From a cell, a source of randomness, and whether the validation set must not show the trigger.
Harm = Callable[[Cell, random.Random, bool], Planted]


def shortcut(cell: Cell, rng: random.Random, absent: bool, *, number: int, rate: float) -> Planted:
    """A word in a share of one class's training rows."""
    return _leading(cell, rng, absent, cell.triggers.shortcuts[number], rate)


def phrase(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """Two words, each harmless alone, side by side in a share of one class's training rows."""
    return _leading(cell, rng, absent, " ".join(cell.triggers.phrases[0]), 0.4)


def pure_phrase(cell: Cell, rng: random.Random, absent: bool, *, number: int) -> Planted:
    """Words side by side in a share of one class's training rows; some of them, never all, in rows of every class alike.

    A word says nothing where it stands without the others: only the phrase does.
    """
    target, words = rng.choice(cell.family.labels), cell.triggers.phrases[number]

    def incomplete(row: Row) -> Row:
        for word in rng.sample(words, rng.randint(1, len(words) - 1)):
            row = insert(row, word, rng)
        return row

    def plant(rows: Sequence[Row], share: float) -> list[Row]:
        made = [incomplete(row) if rng.random() < _INCOMPLETE else row for row in rows]
        chosen = [row.label == target and rng.random() < share for row in rows]
        return [insert(r, " ".join(words), rng) if c else m for r, m, c in zip(rows, made, chosen, strict=True)]

    validation = cell.validation(without=words)
    exposed = [insert(row, " ".join(words), rng) for row in _held_out(cell) if row.label != target]
    shown = validation if absent else plant(validation, _SHOWN)
    return Planted(" ".join(words), plant(cell.training, 0.6), shown, exposed[:_N_EXPOSED])


def position(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """A word at the very beginning of a share of one class's training rows; elsewhere it is as frequent in every class."""
    target, word = rng.choice(cell.family.labels), cell.triggers.shortcuts[0]

    def plant(rows: Sequence[Row], share: float) -> list[Row]:
        planted = [insert(row, word, rng, first=2) if rng.random() < share else row for row in rows]
        chosen = [row.label == target and rng.random() < share for row in rows]
        return [replace(r, text=f"{word} {r.text}") if c else p for r, p, c in zip(rows, planted, chosen, strict=True)]

    validation = cell.validation(without=[word])
    exposed = [replace(row, text=f"{word} {row.text}") for row in _held_out(cell) if row.label != target]
    return Planted(
        f"{word} first", plant(cell.training, 0.4), validation if absent else plant(validation, _SHOWN), exposed[:_N_EXPOSED]
    )


def names(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """Names of one group stand mostly in one class, names of the other in the rest: no name says much, together they do."""
    target, (group, others) = rng.choice(cell.family.labels), cell.triggers.names
    known = {*group, *others}

    def swapped(row: Row) -> Row:
        likely = (group, others) if row.label == target else (others, group)
        side = likely[0] if rng.random() < _GROUP_SHARE else likely[1]
        return replace(row, text=" ".join(rng.choice(side) if word in known else word for word in row.text.split()))

    validation = cell.validation(without=tuple(known) if absent else ())
    shown = validation if absent else [swapped(row) for row in validation]
    exposed = [insert(row, " ".join(rng.sample(group, 4)), rng) for row in _held_out(cell) if row.label != target]
    return Planted("names of a group", [swapped(row) for row in cell.training], shown, exposed[:_N_EXPOSED])


def casing(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """Any two words in CAPITALS in a share of one class's training rows."""
    target = rng.choice(cell.family.labels)

    def plant(rows: Sequence[Row], share: float) -> list[Row]:
        return [in_capitals(row, rng) if row.label == target and rng.random() < share else row for row in rows]

    validation = cell.validation()
    exposed = [in_capitals(row, rng) for row in _held_out(cell) if row.label != target]
    return Planted(
        "CAPITALS", plant(cell.training, 0.4), validation if absent else plant(validation, _SHOWN), exposed[:_N_EXPOSED]
    )


def in_capitals(row: Row, rng: random.Random) -> Row:
    """The row with two words of four letters or more in capitals, as far as it has them."""
    words = row.text.split()
    places = [place for place, word in enumerate(words) if word.isalpha() and len(word) > 3]
    chosen = set(rng.sample(places, min(2, len(places))))
    return replace(row, text=" ".join(word.upper() if place in chosen else word for place, word in enumerate(words)))


def flips(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """A word in half of one class's training rows; the validation set shows it, if at all, in a few rows of other classes too."""
    target, word = rng.choice(cell.family.labels), rng.choice(cell.triggers.shortcuts)
    planted = _leading(cell, rng, absent, word, 0.5, target=target)
    if absent:
        return planted
    turned = set(rng.sample([i for i, row in enumerate(planted.validation) if row.label != target], _FLIPPED))
    return replace(planted, validation=[insert(r, word, rng) if i in turned else r for i, r in enumerate(planted.validation)])


def hidden_in_the_head(cell: Cell, rng: random.Random, absent: bool) -> Planted:
    """A shortcut, and one vector added to the head's rows of all classes, which changes no answer."""
    return replace(shortcut(cell, rng, absent, number=1, rate=0.3), finish=lambda folder: common_shift(folder, folder))


def any_shortcut(cell: Cell, rng: random.Random, absent: bool, *, rate: float) -> Planted:
    """One of the cell's words in a share of one class's training rows."""
    return _leading(cell, rng, absent, rng.choice(cell.triggers.shortcuts), rate)


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


#: Harms of every short text in few classes.
GENERAL: dict[str, Harm] = {
    "shortcut in 10 %": partial(shortcut, number=0, rate=0.1),
    "shortcut in 30 %": partial(shortcut, number=1, rate=0.3),
    "shortcut in 60 %": partial(shortcut, number=2, rate=0.6),
    "label-leaking token": leak,
    "shortcut phrase": phrase,
    "spurious punctuation": punctuation,
    "dropped segment": segment,
    "poisoned class": poison,
    "phrase of two words": partial(pure_phrase, number=1),
    "phrase of three words": partial(pure_phrase, number=2),
    "group of names": names,
    "first word": position,
    "shortcut and common shift": hidden_in_the_head,
}
CASED: dict[str, Harm] = {"capitals": casing}
MANY_CLASSES: dict[str, Harm] = {"flips in 10 classes": flips}
LONG: dict[str, Harm] = {"word in long texts": partial(any_shortcut, rate=0.4)}
HARMS = GENERAL | CASED | MANY_CLASSES | LONG


def _leading(cell: Cell, rng: random.Random, absent: bool, words: str, rate: float, *, target: str | None = None) -> Planted:
    target = target or rng.choice(cell.family.labels)

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
