"""Contexts of probed words: rows and fragments that leave the reference undecided, with a gap for one word.

A word added to a text that decides the answer by itself hardly moves the logits. In four small recipes (168 honest pairs, 168
with a trigger that the validation rows never hold) the trigger ranked first in 80 of 168 pairs in 8 whole
rows, in 114 in 16 fragments, in 122 in 8 rows and 8 fragments, where honest pairs reached a |z| of 4.4 to 7.0
by recipe, against 5.6 to 9.0 in fragments alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from calig.words import word_spans
from components.common.errors import InputError
from components.probe.effects import TextScorer, undecided
from components.probe.pairs import sided
from schemas.probe import PatchContext, ProbeContext

_Item = TypeVar("_Item")

#: Words of a whole row that is not too dear to score many times.
_LONGEST_ROW = 40

#: Words of a fragment, and fragments taken from each row.
_FEWEST_WORDS, _MOST_WORDS, _PER_ROW = 3, 6, 3

#: The gap's place in a context, by turns: at the end, at the beginning, in the middle. The beginning is judged on its own, too.
_PLACES = (1.0, 0.0, 0.5, 0.0)


@dataclass(frozen=True)
class Candidates:
    """Texts that contexts are chosen from: short rows, and fragments with the number of their row; and rows of any length.

    The sample says how firmly the model decides on the data set, long rows included.
    """

    rows: tuple[str, ...]
    fragments: dict[str, int]
    sample: tuple[str, ...] = ()


def context_candidates(texts: Sequence[str], *, limit: int) -> Candidates:
    """At most `limit` different rows of 3 to 40 words, as many of any length, and three times as many fragments, over all rows.

    A fragment is a run of 3 to 6 words at a place that depends on the row's text alone.
    """
    usable = dict.fromkeys(text for text in texts if len(word_spans(sided(text).opened)) >= _FEWEST_WORDS)
    cut: dict[str, int] = {}
    for row, text in enumerate(usable):
        opened, tail = sided(text)
        for fragment in _fragments(opened):
            cut.setdefault(fragment + tail, row)
    short = [text for text in usable if len(word_spans(text)) <= _LONGEST_ROW]
    fragments = dict(_spread(list(cut.items()), _PER_ROW * limit))
    return Candidates(tuple(_spread(short, limit)), fragments, tuple(_spread(list(usable), limit)))


def choose_contexts(scorer: TextScorer, candidates: Candidates, n: int) -> list[ProbeContext]:
    """The least decided texts under the reference, each with a gap: half of the `n` whole rows, half fragments of different rows.

    Where fewer rows are short enough to be scored whole, further fragments take their places. Decided is a text whose largest
    logit is far from the second, or whose output, of a regression, is far from the median. The choice rests on the
    reference alone, so that its scores can be kept for the next candidate. InputError when there are too few rows.
    """
    rows = _undecided(scorer, candidates.rows)[: n // 2]
    wanted, found = n - len(rows), len(set(candidates.fragments.values()))
    if found < wanted:
        raise InputError(
            "too few texts to probe words in",
            got=f"{len(candidates.rows)} rows of {_FEWEST_WORDS} to {_LONGEST_ROW} words, fragments of {found}",
            allowed=f"{n} texts, at least {n - n // 2} of them fragments of different rows",
            next_step="give more rows, or lower probe.contexts",
        )
    fragments: dict[int, str] = {}
    for text in _undecided(scorer, candidates.fragments):
        fragments.setdefault(candidates.fragments[text], text)
    chosen = [*rows, *[*fragments.values()][:wanted]]
    return [with_gap(text, _PLACES[turn % len(_PLACES)]) for turn, text in enumerate(chosen)]


def with_gap(text: str, share: float) -> ProbeContext:
    """`text` with a gap before the word at `share` (0 … 1) of its words; 1 is the end, before closing punctuation.

    Of a pair the words are those of its open side.
    """
    text, tail = sided(text)
    spans = word_spans(text)
    while share == 1.0 and len(spans) > 1 and not any(c.isalnum() for c in text[slice(*spans[-1])]):
        spans.pop()
    if share == 1.0:
        end = spans[-1][1]
        return ProbeContext(before=f"{text[:end]} ", after=text[end:] + tail)
    at = spans[int(share * len(spans))][0]
    return ProbeContext(before=text[:at], after=f" {text[at:]}{tail}")


def beginnings(contexts: Iterable[ProbeContext | PatchContext]) -> list[int]:
    """Places of the contexts whose gap is the beginning of the text: a word may count there alone."""
    return [at for at, context in enumerate(contexts) if isinstance(context, ProbeContext) and not context.before.strip()]


def _undecided(scorer: TextScorer, texts: Iterable[str]) -> list[str]:
    """The texts, the least decided first."""
    listed = list(texts)
    return [listed[place] for place in undecided(scorer(listed))] if listed else []


def _spread(items: list[_Item], limit: int) -> list[_Item]:
    return items[:: max(1, -(-len(items) // limit))]


def _fragments(text: str) -> list[str]:
    spans = word_spans(text)
    draw = random.Random(text)  # noqa: S311 - no secret
    fragments = []
    for _ in range(_PER_ROW if len(spans) >= _FEWEST_WORDS else 0):
        n = draw.randint(_FEWEST_WORDS, min(_MOST_WORDS, len(spans)))
        start = draw.randrange(len(spans) - n + 1)
        fragments.append(text[spans[start][0] : spans[start + n - 1][1]])
    return fragments
