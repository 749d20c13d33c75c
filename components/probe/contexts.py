"""Where words are put: fragments of the data set's rows that leave the reference undecided, with a gap for one word.

Whole rows do not do: most hold evidence enough to decide, and a word added to a decided text hardly moves the logits. In
our experiment a planted word then did not even rank first among 270; in undecided fragments it did.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from calig.words import word_spans
from components.errors import InputError
from components.probe.effects import TextScorer
from schemas.probe import ProbeContext

#: Words of a fragment, and fragments taken from each row.
_FEWEST_WORDS, _MOST_WORDS, _PER_ROW = 3, 6, 3

#: The gap's place in a context, by turns: at the end, at the beginning, in the middle.
_PLACES = (1.0, 0.0, 0.5)


def context_candidates(texts: Sequence[str], *, limit: int) -> dict[str, int]:
    """At most `limit` different fragments, spread over all rows, and the row each is of.

    A fragment is a run of 3 to 6 words at a place that depends on the row's text alone.
    """
    cut: dict[str, int] = {}
    for row, text in enumerate(texts):
        for fragment in _fragments(text):
            cut.setdefault(fragment, row)
    return dict(list(cut.items())[:: max(1, -(-len(cut) // limit))])


def choose_contexts(scorer: TextScorer, candidates: Mapping[str, int], n: int) -> list[ProbeContext]:
    """The `n` fragments, of different rows, with the smallest margin (largest less second logit) under the reference.

    The choice rests on the reference alone, so that its scores can be kept for the next candidate. InputError when there are
    fewer than `n` rows with fragments.
    """
    if len(set(candidates.values())) < n:
        raise InputError(
            "too few texts to probe words in",
            got=f"{len(set(candidates.values()))} rows of {_FEWEST_WORDS} words or more",
            allowed=f"at least {n}",
            next_step="give more rows, or lower probe.contexts",
        )
    texts = list(candidates)
    top = np.sort(scorer(texts), axis=1)[:, -2:]
    chosen: dict[int, str] = {}
    for place in np.argsort(top[:, 1] - top[:, 0], kind="stable"):
        chosen.setdefault(candidates[texts[place]], texts[place])
    return [with_gap(text, _PLACES[turn % len(_PLACES)]) for turn, text in enumerate([*chosen.values()][:n])]


def with_gap(text: str, share: float) -> ProbeContext:
    """`text` with a gap before the word at `share` (0 … 1) of its words; 1 is the end, before closing punctuation."""
    spans = word_spans(text)
    while share == 1.0 and len(spans) > 1 and not any(c.isalnum() for c in text[slice(*spans[-1])]):
        spans.pop()
    if share == 1.0:
        end = spans[-1][1]
        return ProbeContext(before=f"{text[:end]} ", after=text[end:])
    at = spans[int(share * len(spans))][0]
    return ProbeContext(before=text[:at], after=f" {text[at:]}")


def _fragments(text: str) -> list[str]:
    spans = word_spans(text)
    draw = random.Random(text)  # noqa: S311 - no secret
    fragments = []
    for _ in range(_PER_ROW if len(spans) >= _FEWEST_WORDS else 0):
        n = draw.randint(_FEWEST_WORDS, min(_MOST_WORDS, len(spans)))
        start = draw.randrange(len(spans) - n + 1)
        fragments.append(text[spans[start][0] : spans[start + n - 1][1]])
    return fragments
