"""What each word does to the answer of one version: logits of every word in every context, relative to the words at large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from calig.metrics.perturbation import FloatArray, PerturbedText
from schemas.probe import ProbeContext

#: Texts → logits `texts classes`. What both versions are to the probe; the order of the classes is the caller's.
TextScorer = Callable[[Sequence[str]], FloatArray]

#: Words scored at once: enough for full batches, few enough that progress is seen and memory stays small.
_WORDS_AT_ONCE = 256


def text_scorer(tokenizer: Any, logits: Callable[[Sequence[PerturbedText]], FloatArray], *, max_length: int) -> TextScorer:
    """A TextScorer of a tokenizer and `TokenScorer.logits`; texts are cut at `max_length` tokens."""

    def score(texts: Sequence[str]) -> FloatArray:
        """Logits `texts classes`."""
        encoded = tokenizer(list(texts), truncation=True, max_length=max_length, return_attention_mask=False)["input_ids"]
        return logits([PerturbedText(np.array(ids, dtype=np.int64)) for ids in encoded])

    return score


def word_effects(
    scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext], *, progress: Callable[[int], None] | None = None
) -> FloatArray:
    """Effects `words contexts directions` in logits: the margin with the word less that with a neutral filler.

    Two classes have one direction, logit₁ − logit₀; more have one each, the class's logit less the mean of all. The neutral
    filler of a context is its median over all words: no word has to be declared neutral, in whatever language.
    `progress` gets the number of words just scored.
    """
    margins = np.concatenate([_margins(scorer, part, contexts, progress) for part in _parts(words)])
    return np.asarray(margins - np.median(margins, axis=0, keepdims=True))


def directions(logits: FloatArray) -> FloatArray:
    """Margins `… directions` of logits `… classes`."""
    if logits.shape[-1] == 2:
        return logits[..., 1:] - logits[..., :1]
    return np.asarray(logits - logits.mean(axis=-1, keepdims=True))


def _parts(words: Sequence[str]) -> list[Sequence[str]]:
    return [words[start : start + _WORDS_AT_ONCE] for start in range(0, len(words), _WORDS_AT_ONCE)]


def _margins(
    scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext], progress: Callable[[int], None] | None
) -> FloatArray:
    margins = directions(scorer([context.filled(word) for word, context in product(words, contexts)]))
    if progress is not None:
        progress(len(words))
    return margins.reshape(len(words), len(contexts), -1)
