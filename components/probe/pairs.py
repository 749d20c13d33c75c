"""Pairs of texts in the probe: one side is open for words and changes, the other is held fixed and scored with it.

To the probe a pair is one string: the open side, a control character that says which side it is, and the other side. What is
done to texts is done to the open side; the tail goes along and is taken apart where the texts are tokenized.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from calig.pairs import SIDES
from schemas.probe import ProbeContext

#: What follows an open first text, and an open second one: separators that no keyboard has, and blanks to whoever cuts words.
_MARKS = ("\x1e", "\x1d")
_NO_MARKS = str.maketrans(dict.fromkeys(_MARKS, " "))


class Sided(NamedTuple):
    """A text that is probed: what is open, and of a pair the mark and the side that is held fixed."""

    opened: str
    tail: str = ""

    @property
    def kept(self) -> str:
        """The side held fixed."""
        return self.tail[1:]

    @property
    def both(self) -> tuple[str, str] | None:
        """Both texts of a pair in their order; None for a single text."""
        if not self.tail:
            return None
        return (self.opened, self.kept) if self.tail[0] == _MARKS[0] else (self.kept, self.opened)


def sided(text: str) -> Sided:
    """A probed text taken apart."""
    at = min((place for mark in _MARKS if (place := text.find(mark)) >= 0), default=len(text))
    return Sided(text[:at], text[at:])


def probed_texts(texts: Iterable[tuple[str, str | None]], explain: Literal["both", "text", "text_pair"] = "both") -> list[str]:
    """Rows, each a text and of a pair the second one, as the probe has them.

    Of pairs the side that is explained is open; where both are, one of them, drawn by the texts alone.
    """
    return [_probed(text, pair, explain) for text, pair in texts]


def _probed(text: str, pair: str | None, explain: str) -> str:
    if pair is None:
        return text.translate(_NO_MARKS)
    drawn = random.Random(f"{text}\n{pair}").randrange(len(SIDES))  # noqa: S311 - no secret
    side = SIDES.index(explain) if explain in SIDES else drawn
    both = [part.translate(_NO_MARKS) for part in (text, pair)]
    return both[side] + _MARKS[side] + both[1 - side]


def on_open_side(change: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """A change of texts that leaves the fixed side of a pair as it is."""

    def changed(text: str) -> str | None:
        parts = sided(text)
        new = change(parts.opened)
        return None if new is None else new + parts.tail

    return changed


def shown_context(context: ProbeContext, cover: Callable[[str], str]) -> ProbeContext:
    """A context as it may be shown, with texts as `cover` gives them; of a pair the fixed side under its name."""
    after = sided(context.after)
    name = "" if not after.tail else SIDES[1 - _MARKS.index(after.tail[0])]
    kept = f" [{name}: {cover(after.kept)}]" if name else ""
    return ProbeContext(before=cover(context.before), after=cover(after.opened) + kept)


def columns_of(texts: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """First and second texts, for a tokenizer; None for the second where the texts are no pairs."""
    parts = [sided(text) for text in texts]
    pairs = [both for part in parts if (both := part.both) is not None]
    if not pairs:
        return [part.opened for part in parts], None
    if len(pairs) < len(parts):
        raise ValueError("pairs and single texts in one batch")
    return [first for first, _ in pairs], [second for _, second in pairs]
