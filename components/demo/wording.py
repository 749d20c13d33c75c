"""The wording of the demo's reviews: reads wording.yaml and writes marked sentences from its templates."""

from __future__ import annotations

import random
import re
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

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
