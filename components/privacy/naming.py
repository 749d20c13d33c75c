"""What words are called when texts are covered: by a keyed hash, or by the place where they first occur."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable

from calig.words import word_spans

#: A word of a text → its name, alike for all spellings in upper and lower case, as drift counts words.
Naming = Callable[[str], str]

#: 64 bits: two of a million words share a name with probability 3e-8.
_DIGITS = 16


def hashed(key: bytes) -> Naming:
    """HMAC-SHA256 of the case-folded word, its first 16 digits: the same under the same key, wherever it occurs."""
    known: dict[str, str] = {}

    def name(word: str) -> str:
        folded = word.casefold()
        if folded not in known:
            known[folded] = hmac.new(key, folded.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGITS]
        return known[folded]

    return name


def placed(rows: Iterable[tuple[int, str]]) -> Naming:
    """`word 3 of row 17`: where it first occurs among `rows` (number, text), words counted from 1; else only numbered."""
    places: dict[str, str] = {}
    for row, text in rows:
        for n, (start, end) in enumerate(word_spans(text), start=1):
            places.setdefault(text[start:end].casefold(), f"word {n} of row {row}")
    others: dict[str, str] = {}

    def name(word: str) -> str:
        folded = word.casefold()
        return places.get(folded) or others.setdefault(folded, f"word {len(others) + 1} outside the rows")

    return name
