"""A text whose words have other names, and where its characters went."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from calig.words import word_spans

Span = tuple[int, int]


@dataclass(frozen=True)
class CoveredText:
    """`text` in place of the original; `before` and `after` are the words' spans in the original and in `text`."""

    text: str
    before: tuple[Span, ...]
    after: tuple[Span, ...]

    def start(self, offset: int) -> int:
        """Where a stretch that began at `offset` begins; negative offsets (special tokens) stay."""
        index = bisect_right(self.before, offset, key=lambda span: span[0]) - 1
        if index < 0:
            return offset
        (a, b), (c, d) = self.before[index], self.after[index]
        return c + min((offset - a) * (d - c) // (b - a), d - c - 1) if offset < b else d + offset - b

    def end(self, offset: int) -> int:
        """Where a stretch that ended before `offset` ends: behind its start, also where a name is shorter than its word."""
        index = bisect_left(self.before, offset, key=lambda span: span[0]) - 1
        if index < 0:
            return offset
        (a, b), (c, d) = self.before[index], self.after[index]
        return c + max(1, -(-(offset - a) * (d - c) // (b - a))) if offset <= b else d + offset - b


def cover_text(text: str, name: Callable[[str], str]) -> CoveredText:
    """`text` with every word by its `name` and everything between words as blanks, as many as it had characters."""
    parts: list[str] = []
    after: list[Span] = []
    at, length, spans = 0, 0, word_spans(text)
    for start, end in spans:
        named = name(text[start:end])
        length += start - at
        after.append((length, length + len(named)))
        parts += [" " * (start - at), named]
        at, length = end, length + len(named)
    return CoveredText("".join([*parts, " " * (len(text) - at)]), tuple(spans), tuple(after))


def blocks(word: str) -> str:
    """Nothing of the word but its length."""
    return "█" * len(word)
