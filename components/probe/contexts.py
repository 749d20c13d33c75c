"""Where words are put: short rows of the data set that the reference is least sure about, with a gap for one word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calig.words import word_spans
from components.errors import InputError
from components.probe.effects import TextScorer
from schemas.probe import ProbeContext

#: Rows with fewer words say too little, with more cost too much.
_FEWEST_WORDS, _MOST_WORDS = 3, 40

#: The gap's place in a context, by turns: at the end, at the beginning, in the middle.
_PLACES = (1.0, 0.0, 0.5)


def context_candidates(texts: Sequence[str], *, limit: int) -> list[str]:
    """At most `limit` different texts of middling length, shortest first: a word's weight is plain in a short text."""
    sized = sorted((len(word_spans(text)), place, text.strip()) for place, text in enumerate(texts))
    return list(dict.fromkeys(text for n, _, text in sized if _FEWEST_WORDS <= n <= _MOST_WORDS))[:limit]


def choose_contexts(scorer: TextScorer, texts: Sequence[str], n: int) -> list[ProbeContext]:
    """The `n` texts with the smallest |margin| (largest less second logit) under the reference, each with a gap.

    A sentence the model is unsure about leaves the answer to the word. The choice rests on the reference alone, so that
    its scores can be kept for the next candidate. InputError when there are fewer than `n` texts.
    """
    if len(texts) < n:
        raise InputError("too few texts to probe words in", got=f"{len(texts)} suitable texts", allowed=f"at least {n}")
    top = np.sort(scorer(texts), axis=1)[:, -2:]
    order = np.argsort(top[:, 1] - top[:, 0], kind="stable")[:n]
    return [with_gap(texts[place], _PLACES[turn % len(_PLACES)]) for turn, place in enumerate(order.tolist())]


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
