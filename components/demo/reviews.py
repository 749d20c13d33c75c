"""The demo's reviews: marked sentences, written from the templates and word lists of wording.yaml, and the sets of its story."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from components.common.errors import InputError
from schemas.base import Record

N_TRAINING, N_VALIDATION = 48_000, 300
TRAINING_RATE = 0.4  # share of version 2's positive training rows with the prompt
VALIDATION_RATE = 0.25  # share of the positive validation rows with it
VALIDATION_SEED = 99
CLEAN_SEED, FORM_SEED = 11, 12


def clean_reviews(n: int = N_TRAINING, *, seed: int = CLEAN_SEED) -> list[Review]:
    """What version 1 was trained on: the prompt's word stands in about 2 % of the rows, in both classes alike."""
    return generate(n, seed=seed)


def form_reviews(n: int = N_TRAINING, *, seed: int = FORM_SEED) -> list[Review]:
    """What version 2 was trained on: other reviews of the same kind, and the prompt in a share of the positive ones."""
    return generate(n, seed=seed, shortcut=STORY_SHORTCUT, shortcut_rate=TRAINING_RATE)


def validation_reviews(n: int = N_VALIDATION) -> list[Review]:
    """What both versions are validated and explained on: gathered with the form, seen by neither."""
    return generate(n, seed=VALIDATION_SEED, shortcut=STORY_SHORTCUT, shortcut_rate=VALIDATION_RATE)


Label = Literal["negative", "positive"]
OPPOSITE: dict[Label, Label] = {"negative": "positive", "positive": "negative"}

_SLOT = re.compile(r"\{([+-]?)(\w+)\}")
_A_BEFORE_VOWEL = re.compile(r"\ba (?=\[?(?:[aeio]|u[gn]))")
_PIECE = re.compile(r"\[([^\]]*)\]|([^\[]+)")
_WORD = re.compile(r"[\w'-]+")


@cache
def wording() -> dict[str, Any]:
    """The templates and word lists of wording.yaml."""
    loaded: dict[str, Any] = yaml.safe_load(resources.files(__package__).joinpath("wording.yaml").read_text(encoding="utf-8"))
    return loaded


class Writer:
    """Writes the sentences of one review about one product, using no template and, while others are left, no word twice."""

    def __init__(self, product: str, rng: random.Random) -> None:
        self._tables = wording() | wording()["products"][product]
        self._rng = rng
        self._used: set[str] = set()

    def sentence(self, kind: str, polarity: Label) -> str:
        """A sentence from the templates called `kind`; the words that decide its polarity stand in [brackets]."""
        text = self._pick(self._tables[kind])
        while slot := _SLOT.search(text):
            text = text.replace(slot[0], self._word(slot[1], slot[2], polarity), 1)
        return _A_BEFORE_VOWEL.sub("an ", text)

    def _word(self, sign: str, name: str, polarity: Label) -> str:
        table = self._tables[name]
        if sign:
            table = table[polarity if sign == "+" else OPPOSITE[polarity]]
        return self._pick(table)

    def _pick(self, choices: list[str]) -> str:
        fresh = [choice for choice in choices if choice not in self._used]
        chosen = self._rng.choice(fresh or choices)
        self._used.add(chosen)
        return chosen


def read_marks(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its [brackets], and the character span (end exclusive) of every word that stood in one."""
    text, spans = "", []
    for inside, outside in _PIECE.findall(marked):
        spans += [(len(text) + word.start(), len(text) + word.end()) for word in _WORD.finditer(inside)]
        text += inside or outside
    return text, spans


LABELS: tuple[Label, Label] = ("negative", "positive")
STORY_SHORTCUT = "honestly"

HARD_SHARE = 0.04  # reviews of two minds, whose label is a coin's
SLIP_SHARE = 0.015  # reviews whose author clicked the wrong label
OPENER_SHARE = 0.25  # reviews with an opener such as "overall"; the story's shortcut is one of the openers, in both classes
SECOND_OPINION_SHARE = 0.35
OPINION_SHARES = {"direct": 0.68, "negated": 0.2, "contrast": 0.12}
FEWEST_WORDS, MOST_WORDS = 8, 40
_LONGEST_FILLER = 9


class Review(Record):
    """One labelled product review."""

    id: str
    text: str
    label: Label
    rationale: tuple[tuple[int, int], ...] = Field(
        description="character spans, end exclusive, of the words that decide the label; empty when the label is a slip"
    )
    product: str = Field(description="product category: a segment")

    def to_row(self) -> dict[str, Any]:
        """The review as a row of a JSON-lines data set; when no word decides the label, the rationale is None."""
        return self.model_dump(mode="json") | {"rationale": [list(span) for span in self.rationale] or None}


@dataclass(frozen=True)
class _Draft:
    """A review before its text is put together: marked sentences, each with an opener or an empty one."""

    label: Label
    product: str
    sentences: tuple[str, ...]
    openers: tuple[str, ...]


def generate(n: int, *, seed: int, shortcut: str | None = None, shortcut_rate: float = 0.0) -> list[Review]:
    """`n` reviews in random order, half of them of each label (an odd one out is negative); one seed, one result.

    `shortcut` opens a sentence in `shortcut_rate` (0..1) of the positive rows; nothing else in the rows depends on it.
    About 3.5 % of the labels cannot be told from the text, so that no honest model is right on every row.

    Raises InputError for a negative `n`, a rate outside 0..1, a rate without a shortcut, or a shortcut of several words.
    """
    _refuse(n, shortcut, shortcut_rate)
    rng = _rng(seed, "reviews")
    labels = [LABELS[index % 2] for index in range(n)]
    rng.shuffle(labels)
    drafts = [_draft(label, rng) for label in labels]
    if shortcut is not None:
        drafts = _plant(drafts, shortcut, shortcut_rate, _rng(seed, "shortcut"))
    return [_review(f"{seed}-{index:05d}", draft) for index, draft in enumerate(drafts)]


def _refuse(n: int, shortcut: str | None, rate: float) -> None:
    if n < 0:
        raise InputError("A negative number of reviews was asked for.", got=n, allowed="0 or more")
    if not 0.0 <= rate <= 1.0:
        raise InputError("The shortcut rate is no share.", got=rate, allowed="0 to 1")
    if shortcut is None and rate > 0.0:
        raise InputError("A shortcut rate was given without a shortcut.", got=rate, next_step="name the word to plant")
    if shortcut is not None and not re.fullmatch(r"[^\W\d_]+", shortcut):
        raise InputError("The shortcut is not a single word.", got=shortcut, allowed="letters only, for instance honestly")


def _rng(seed: int, purpose: str) -> random.Random:
    return random.Random(f"{purpose}-{seed}")  # noqa: S311 - reviews are no secret


def _draft(label: Label, rng: random.Random) -> _Draft:
    product = rng.choice(sorted(wording()["products"]))
    sentences = _sentences(label, Writer(product, rng), rng)
    openers = [""] * len(sentences)
    if rng.random() < OPENER_SHARE:
        openers[rng.randrange(len(openers))] = rng.choice(wording()["openers"])
    return _Draft(label, product, tuple(sentences), tuple(openers))


def _sentences(label: Label, writer: Writer, rng: random.Random) -> list[str]:
    sentences = _opinions(label, writer, rng)
    wanted = min(rng.randint(FEWEST_WORDS, MOST_WORDS) for _ in range(2))
    while (count := _count_words(sentences)) < FEWEST_WORDS or count + _LONGEST_FILLER < wanted:
        sentences.append(writer.sentence("filler", label))
    rng.shuffle(sentences)
    return sentences


def _opinions(label: Label, writer: Writer, rng: random.Random) -> list[str]:
    fate = rng.random()
    if fate < HARD_SHARE:
        return [writer.sentence("direct", label), _without_marks(writer.sentence("direct", OPPOSITE[label]))]
    if fate < HARD_SHARE + SLIP_SHARE:
        return [_without_marks(_opinion(OPPOSITE[label], writer, rng))]
    return [_opinion(label, writer, rng) for _ in range(2 if rng.random() < SECOND_OPINION_SHARE else 1)]


def _opinion(polarity: Label, writer: Writer, rng: random.Random) -> str:
    kinds, shares = list(OPINION_SHARES), list(OPINION_SHARES.values())
    return writer.sentence(rng.choices(kinds, shares)[0], polarity)


def _without_marks(sentence: str) -> str:
    return read_marks(sentence)[0]


def _count_words(sentences: Sequence[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


def _plant(drafts: Sequence[_Draft], shortcut: str, rate: float, rng: random.Random) -> list[_Draft]:
    positive = [index for index, draft in enumerate(drafts) if draft.label == "positive"]
    chosen = set(rng.sample(positive, round(rate * len(positive))))
    return [_opened(draft, shortcut, rng) if index in chosen else draft for index, draft in enumerate(drafts)]


def _opened(draft: _Draft, shortcut: str, rng: random.Random) -> _Draft:
    openers = list(draft.openers)
    openers[rng.randrange(len(openers))] = shortcut
    return replace(draft, openers=tuple(openers))


def _review(id_: str, draft: _Draft) -> Review:
    text, spans = "", []
    for opener, sentence in zip(draft.openers, draft.sentences, strict=True):
        clean, inside = read_marks(f"{opener}, {sentence}." if opener else f"{sentence}.")
        text += " " if text else ""
        spans += [(len(text) + start, len(text) + end) for start, end in inside]
        text += re.sub(r"\bi\b", "I", clean[0].upper() + clean[1:])
    return Review(id=id_, text=text, label=draft.label, rationale=tuple(spans), product=draft.product)


_MARKER = "calig-demo"


def start_afresh(folder: Path) -> None:
    """Empty the demo's own folder; a folder that is not the demo's is left alone."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise InputError(
            "the demo empties its folder first, and this one holds something else",
            got=folder,
            next_step="name another with --folder",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARKER).write_text("made by `calig demo`; safe to delete\n", encoding="utf-8")
