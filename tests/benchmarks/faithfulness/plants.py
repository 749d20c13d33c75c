"""Subtle planted truth (after Bastings et al. 2021, arXiv 2111.07367): words that decide together, by their place, or weakly.

A single word that always goes with a class is found by every method. Here one model learns five plants at once, each on rows of
its own, by words that the data do not have. "Toward" is the class that the plants speak for.

| plant | toward the class | not toward it |
| --- | --- | --- |
| `phrase` | both words, side by side | either word alone |
| `position` | the word at the start | the word in the second half |
| `order` | the first word right before the second | the second right before the first: the other class |
| `opposing` | one word, also beside the other | the other word alone speaks for the other class in 70 % of its rows |
| `weak` | the word, in 30 % of its rows | in the others the row's own class stands |

A row counts only where the words decide by the model's own answers: it gives the class, and another one to every
counterfactual, in which what is needed is taken away. What any method makes of a row has no part in the choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_PHRASE, _PLACED, _ORDER = ("copper", "kettle"), "tuesday", ("bottle", "cabinet")
_FOR, _AGAINST, _WEAK = "carpet", "gravel", "pepper"

#: Words that the data must not have.
PLANTED_WORDS = frozenset({*_PHRASE, _PLACED, *_ORDER, _FOR, _AGAINST, _WEAK})

_WEAK_SHARE, _AGAINST_SHARE = 0.3, 0.7
#: The share of the training rows that every plant takes a copy of.
_COPIED = 0.25

Words = list[str]


@dataclass(frozen=True)
class Planted:
    """A text's words with the plant in it; decisive: which of them are the reason; without: texts that lack what is needed."""

    words: Words
    decisive: tuple[int, ...]
    without: tuple[Words, ...]


@dataclass(frozen=True)
class Plant:
    """teach: (words, own class, classes as (toward, other), randomness) → words and class to learn; show: words → `Planted`."""

    teach: Callable[[Words, str, tuple[str, str], random.Random], tuple[Words, str]]
    show: Callable[[Words, random.Random], Planted]


def taught_rows(rows: Sequence[tuple[str, str]], toward: str, other: str, seed: int) -> list[tuple[str, str]]:
    """The rows as they are, and for every plant a copy of a quarter of them with the plant in it; (text, class) each."""
    rng = random.Random(f"plants-{seed}")  # noqa: S311
    taught = list(rows)
    for plant in PLANTS.values():
        for text, label in rng.sample(list(rows), int(_COPIED * len(rows))):
            words, learnt = plant.teach(text.split(), label, (toward, other), rng)
            taught.append((" ".join(words), learnt))
    return taught


def decided_rows(
    name: str, rows: Iterable[tuple[str, str]], toward: str, answers: Callable[[Sequence[str]], list[str]]
) -> Iterator[dict[str, Any]]:
    """Rows for `components.datasets` with the decisive words as their rationale.

    rows: (id, text) each; answers: the model's class for each of some texts.
    """
    for row_id, text in rows:
        planted = PLANTS[name].show(text.split(), random.Random(f"{name}-{row_id}"))  # noqa: S311
        shown, *without = (" ".join(words) for words in (planted.words, *planted.without))
        given, *otherwise = answers([shown, *without])
        if given == toward and toward not in otherwise:
            yield {"id": row_id, "text": shown, "label": toward, "rationale": _spans(planted)}


def _spans(planted: Planted) -> list[list[int]]:
    starts = [len(" ".join([*planted.words[:i], ""])) if i else 0 for i in range(len(planted.words))]
    return [[starts[i], starts[i] + len(planted.words[i])] for i in planted.decisive]


def _put(words: Words, new: Sequence[str], at: int) -> Words:
    return [*words[:at], *new, *words[at:]]


def _anywhere(words: Words, rng: random.Random) -> int:
    return rng.randint(0, len(words))


def _teach_phrase(words: Words, own: str, classes: tuple[str, str], rng: random.Random) -> tuple[Words, str]:
    whole = rng.random() < 0.5
    return _put(words, _PHRASE if whole else (rng.choice(_PHRASE),), _anywhere(words, rng)), classes[0] if whole else own


def _show_phrase(words: Words, rng: random.Random) -> Planted:
    at = _anywhere(words, rng)
    return Planted(_put(words, _PHRASE, at), (at, at + 1), tuple(_put(words, (part,), at) for part in _PHRASE))


def _second_half(words: Words, rng: random.Random) -> int:
    return rng.randint((len(words) + 1) // 2, len(words))


def _teach_position(words: Words, own: str, classes: tuple[str, str], rng: random.Random) -> tuple[Words, str]:
    first = rng.random() < 0.5
    return _put(words, (_PLACED,), 0 if first else max(1, _second_half(words, rng))), classes[0] if first else own


def _show_position(words: Words, rng: random.Random) -> Planted:
    """The same word stands in the second half too, where it says nothing."""
    later = _put(words, (_PLACED,), max(1, _second_half(words, rng)))
    return Planted([_PLACED, *later], (0,), (later,))


def _teach_order(words: Words, own: str, classes: tuple[str, str], rng: random.Random) -> tuple[Words, str]:
    turned = rng.random() < 0.5
    return _put(words, _ORDER[::-1] if turned else _ORDER, _anywhere(words, rng)), classes[turned]


def _show_order(words: Words, rng: random.Random) -> Planted:
    at = _anywhere(words, rng)
    return Planted(_put(words, _ORDER, at), (at, at + 1), (_put(words, _ORDER[::-1], at), words))


def _teach_opposing(words: Words, own: str, classes: tuple[str, str], rng: random.Random) -> tuple[Words, str]:
    kind = rng.choice(("for", "against", "both"))
    if kind != "against":
        words = _put(words, (_FOR,), _anywhere(words, rng))
    if kind != "for":
        words = _put(words, (_AGAINST,), _anywhere(words, rng))
    obeys = kind != "against" or rng.random() < _AGAINST_SHARE
    return words, classes[kind == "against"] if obeys else own


def _show_opposing(words: Words, rng: random.Random) -> Planted:
    against = _put(words, (_AGAINST,), _anywhere(words, rng))
    at = _anywhere(against, rng)
    return Planted(_put(against, (_FOR,), at), (at,), (against,))


def _teach_weak(words: Words, own: str, classes: tuple[str, str], rng: random.Random) -> tuple[Words, str]:
    return _put(words, (_WEAK,), _anywhere(words, rng)), classes[0] if rng.random() < _WEAK_SHARE else own


def _show_weak(words: Words, rng: random.Random) -> Planted:
    at = _anywhere(words, rng)
    return Planted(_put(words, (_WEAK,), at), (at,), (words,))


PLANTS = {
    "phrase": Plant(_teach_phrase, _show_phrase),
    "position": Plant(_teach_position, _show_position),
    "order": Plant(_teach_order, _show_order),
    "opposing": Plant(_teach_opposing, _show_opposing),
    "weak": Plant(_teach_weak, _show_weak),
}
