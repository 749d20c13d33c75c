"""From tokens to words by character offset, so that versions with different tokenizers can be compared word by word."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
import regex
from numpy.typing import NDArray

#: Default Unicode word boundaries (UAX #29): whole words where spaces mark them, single ideographs where they do not.
_BOUNDARY = regex.compile(r"(?V1)(?w)\b")


@dataclass(frozen=True)
class Word:
    """A word of the input and its summed relevance: characters `start` … `end` (exclusive), `value` in logits, signed."""

    text: str
    start: int
    end: int
    value: float


def word_spans(text: str) -> list[tuple[int, int]]:
    """Character spans of the words and punctuation marks of `text`; blanks are left out."""
    edges = sorted({0, len(text), *(m.start() for m in _BOUNDARY.finditer(text))})
    return [(a, b) for a, b in pairwise(edges) if not text[a:b].isspace()]


def merge_words(text: str, values: NDArray[np.float64], starts: Sequence[int], ends: Sequence[int]) -> list[Word]:
    """Sum token values into words; special tokens (start −1) are left out.

    A token that reaches over several words joins them into one, so that no value is ever split.

    Args:
        text: the input.
        values: relevance per token, `seq`.
        starts, ends: character span of each token, end exclusive, −1 for special tokens.
    """
    spans = word_spans(text)
    covering = [_covered(text, spans, start, end) for start, end in zip(starts, ends, strict=True)]
    group = _groups(len(spans), [c for c in covering if c])
    sums = np.zeros(len(spans))
    seen: set[int] = set()
    for value, covered in zip(values, covering, strict=True):
        if covered:
            sums[group[covered[0]]] += value
            seen.add(group[covered[0]])
    bounds = {g: (spans[group.index(g)][0], spans[len(group) - 1 - group[::-1].index(g)][1]) for g in sorted(seen)}
    return [Word(text[start:end], start, end, float(sums[g])) for g, (start, end) in bounds.items()]


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
