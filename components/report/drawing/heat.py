"""Heat text: a text cut into pieces with a colour level each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from calig.pairs import SIDES

LEVELS = 8
MAX_CHARACTERS = 6000


class Spanned(Protocol):
    """A stretch of text, in characters, end exclusive."""

    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text. `value` is None between words; `level` runs from −8 (opposes) to 8 (supports).

    side_name: not of the text, but the name of the text of a pair that begins here.
    """

    text: str
    value: float | None = None
    level: int = 0
    side_name: bool = False


def level(value: float, scale: float) -> int:
    """Colour level −8…8 of `value` where `scale` (> 0) is full colour; anything above half a level is visible, NaN is not."""
    if not (math.isfinite(value) and 0 < scale < math.inf):
        return 0
    return max(-LEVELS, min(LEVELS, round(LEVELS * value / scale)))


def scale_of(values: Iterable[float]) -> float:
    """The largest finite size among the values: full colour; 0 when there are none."""
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)


def pieces(
    text: str, words: Sequence[Spanned], values: Sequence[float], scale: float, pair_start: int | None = None
) -> tuple[Piece, ...]:
    """The first `MAX_CHARACTERS` of the text, cut into words and what lies between them; joined they are that text.

    `words` are sorted by start; a word that overlaps its predecessor keeps only what is left of it. Both texts of a pair, the
    second from `pair_start` on, come after their names.
    """
    text = text[:MAX_CHARACTERS]
    result = [] if pair_start is None else [Piece(SIDES[0], side_name=True)]
    at = 0
    for word, value in zip(words, values, strict=True):
        start, end = max(word.start, at), min(word.end, len(text))
        if start >= end:
            continue
        result += _between(text, at, start, pair_start)
        result.append(Piece(text[start:end], value, level(value, scale)))
        at = end
    return (*result, *_between(text, at, len(text), pair_start))


def _between(text: str, start: int, end: int, pair_start: int | None) -> Iterator[Piece]:
    """What lies between two words; where the second text of a pair begins, its name goes before it."""
    if pair_start is not None and start < pair_start <= end:
        yield Piece(text[start:pair_start])
        yield Piece(SIDES[1], side_name=True)
        start = pair_start
    if start < end:
        yield Piece(text[start:end])


def characters_left_out(text: str) -> int:
    """How many characters of the text are not drawn."""
    return max(0, len(text) - MAX_CHARACTERS)
