"""Effects of words on one version's answer: logits of every word in every context, relative to the mean of all words."""

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


def text_scorer(
    tokenizer: Any, logits: Callable[[Sequence[PerturbedText]], FloatArray], *, max_length: int | None = None
) -> TextScorer:
    """A TextScorer of a tokenizer and `TokenScorer.logits`; texts are cut at `max_length` tokens."""
    return lambda texts: logits(encoded(tokenizer, texts, max_length=max_length))


def encoded(tokenizer: Any, texts: Sequence[str], *, max_length: int | None = None) -> list[PerturbedText]:
    """Token ids of each text as the model gets them, special tokens included, cut at `max_length` tokens."""
    cut = {} if max_length is None else {"truncation": True, "max_length": max_length}
    ids = tokenizer(list(texts), return_attention_mask=False, verbose=False, **cut)["input_ids"]
    return [PerturbedText(np.array(row, dtype=np.int64)) for row in ids]


def word_effects(
    scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext], *, progress: Callable[[int], None] | None = None
) -> FloatArray:
    """Effects `words contexts directions` in logits, see `effects_of`; `progress` gets the number of words just scored."""
    return effects_of(word_logits(scorer, words, contexts, progress=progress))


def word_logits(
    scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext], *, progress: Callable[[int], None] | None = None
) -> FloatArray:
    """Logits `words contexts classes` of every word in every context."""
    parts = []
    for start in range(0, len(words), _WORDS_AT_ONCE):
        part = words[start : start + _WORDS_AT_ONCE]
        logits = scorer([context.filled(word) for word, context in product(part, contexts)])
        parts.append(logits.reshape(len(part), len(contexts), -1))
        if progress is not None:
            progress(len(part))
    return np.concatenate(parts)


def typical_margin(logits: FloatArray) -> float:
    """Median distance of the largest logit from the second over rows, `rows classes`: how firmly a version decides."""
    top = np.sort(logits, axis=-1)[:, -2:]
    return float(np.median(np.abs(top[:, -1] - top[:, 0] if top.shape[1] > 1 else top[:, 0])))


def effects_of(logits: FloatArray) -> FloatArray:
    """Effects `words contexts directions` of logits `words contexts classes`: the margin with a word less a neutral one's.

    Two classes have one direction, logit₁ − logit₀; more have one each, the class's logit less the mean of all. The neutral
    filler of a context is its median over all words: no word has to be declared neutral, in whatever language.
    """
    margins = _directions(logits)
    return np.asarray(margins - np.median(margins, axis=0, keepdims=True))


def _directions(logits: FloatArray) -> FloatArray:
    if logits.shape[-1] == 2:
        return logits[..., 1:] - logits[..., :1]
    return np.asarray(logits - logits.mean(axis=-1, keepdims=True))
