"""From tokens to words by character offset, so that versions with different tokenizers can be compared word by word."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
import regex
from numpy.typing import ArrayLike, NDArray

#: Default Unicode word boundaries (UAX #29): whole words where spaces mark them, single ideographs where they do not.
_BOUNDARY = regex.compile(r"(?V1)(?w)\b")


@dataclass(frozen=True)
class Word:
    """A word of the input and its summed relevance: characters `start` … `end` (exclusive), `value` in logits, signed.

    side: 1 for words of the second text of a pair, whose characters are counted in that text; else 0.
    """

    text: str
    start: int
    end: int
    value: float
    side: int = 0


def word_spans(text: str) -> list[tuple[int, int]]:
    """Character spans of the words and punctuation marks of `text`; blanks are left out."""
    edges = sorted({0, len(text), *(m.start() for m in _BOUNDARY.finditer(text))})
    return [(a, b) for a, b in pairwise(edges) if not text[a:b].isspace()]


def merge_words(text: str, values: NDArray[np.float64], starts: Sequence[int], ends: Sequence[int]) -> list[Word]:
    """Sum token values into words; special tokens (start −1) are left out.

    A token that reaches over several words joins them into one, so that no value is ever split; a token of blanks alone
    belongs to the word it comes before, as the blank inside a token does, or to the last one.

    Args:
        text: the input.
        values: relevance per token, `seq`.
        starts, ends: character span of each token, end exclusive, −1 for special tokens.
    """
    bounds = _bounds(text, starts, ends)
    owner = word_owners([a for a, _ in bounds], [b for _, b in bounds], starts, ends)
    sums = np.zeros(len(bounds))
    np.add.at(sums, owner[owner >= 0], np.asarray(values)[owner >= 0])
    return [Word(text[start:end], start, end, float(sums[i])) for i, (start, end) in enumerate(bounds)]


def merge_pair_words(
    texts: Sequence[str], values: NDArray[np.float64], starts: Sequence[int], ends: Sequence[int], sides: Sequence[int]
) -> list[Word]:
    """The words of both texts of a pair, those of the first before those of the second; arguments as for `merge_words`.

    `sides`: the text that each token is of, 0 or 1, −1 for special tokens, `seq`.
    """
    words = []
    for side, text in enumerate(texts):
        spans = _of_side(starts, sides, side), _of_side(ends, sides, side)
        words += [replace(word, side=side) for word in merge_words(text, values, *spans)]
    return words


def pair_owners(words: Sequence[Word], starts: Sequence[int], ends: Sequence[int], sides: Sequence[int]) -> NDArray[np.int64]:
    """The word that each token belongs to, `seq`, as `word_owners` gives it, where `sides` says which text each token is of."""
    owner = np.full(len(starts), -1)
    for side in (0, 1):
        own = [place for place, word in enumerate(words) if word.side == side]
        found = word_owners([words[i].start for i in own], [words[i].end for i in own], _of_side(starts, sides, side), ends)
        owner[found >= 0] = np.array(own, dtype=np.int64)[found[found >= 0]]
    return owner


def _of_side(offsets: Sequence[int], sides: Sequence[int], side: int) -> list[int]:
    """The offsets of one side's tokens; the others as special tokens have them."""
    return [offset if of == side else -1 for offset, of in zip(offsets, sides, strict=True)]


def word_owners(word_starts: ArrayLike, word_ends: ArrayLike, starts: ArrayLike, ends: ArrayLike) -> NDArray[np.int64]:
    """The word that each token belongs to, `seq`; −1 for special tokens, and for all where there are no words.

    Args:
        word_starts, word_ends: of the words that `merge_words` gives.
        starts, ends: character span of each token, as there.
    """
    first, ending = np.asarray(word_starts, dtype=np.int64), np.asarray(word_ends, dtype=np.int64)
    begin, end = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    if not len(first):
        return np.full(len(begin), -1)
    word = np.searchsorted(first, np.maximum(begin, end - 1), side="right") - 1
    between = (word < 0) | (begin >= ending[word])
    return np.where(begin < 0, -1, np.minimum(word + between, len(first) - 1))


def _bounds(text: str, starts: Sequence[int], ends: Sequence[int]) -> list[tuple[int, int]]:
    """Character spans of the words that a token touches, those that share a token joined."""
    spans = word_spans(text)
    covering = [c for c in (_covered(text, spans, start, end) for start, end in zip(starts, ends, strict=True)) if c]
    group = _groups(len(spans), covering)
    touched = {group[first] for first, _ in covering}
    bounds: dict[int, tuple[int, int]] = {}
    for (start, end), g in zip(spans, group, strict=True):
        if g in touched:
            bounds[g] = (bounds.get(g, (start, end))[0], end)
    return list(bounds.values())


def _covered(text: str, spans: list[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """First and last word a token touches, blanks aside; None for special tokens and tokens of blanks."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < 0 or start >= end:
        return None
    return bisect_right(spans, start, key=lambda s: s[0]) - 1, bisect_right(spans, end - 1, key=lambda s: s[0]) - 1


def _groups(n_words: int, covering: list[tuple[int, int]]) -> list[int]:
    """A number per word, the same for words that one token reaches over."""
    joined = [False] * n_words
    for first, last in covering:
        for index in range(first + 1, last + 1):
            joined[index] = True
    return [g - 1 for g in accumulate(int(not j) for j in joined)]
