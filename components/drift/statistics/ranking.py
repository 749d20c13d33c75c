"""nDCG of global word attributions, as cloud monitors report it, beside what a random order would get. It decides nothing.

Amazon SageMaker Clarify ("Feature Attribution Drift for Models in Production") and Azure Machine Learning (model monitoring,
feature attribution drift) rank the features by mean absolute attribution; Clarify alerts below 0.90.
"""

from __future__ import annotations

import numpy as np

from components.drift.examples import Examples, shares_of
from components.table.units import Floats
from schemas.drift import GlobalRanking


def global_ranking(examples: Examples) -> GlobalRanking | None:
    """Over all words, gains the reference's mean absolute share; None without two words or without attribution."""
    reference, candidate = _global_shares(examples)
    if len(reference) < 2 or reference.max() <= 0:
        return None
    return GlobalRanking(value=ndcg(reference, candidate), floor=random_floor(reference), n_words=len(reference))


def ndcg(gains: Floats, scores: Floats, k: int | None = None) -> float:
    """Σ gainᵢ / log₂(i + 1) over the first k places in the order of `scores`, over the same in the order of `gains`."""
    order = np.argsort(-scores, kind="stable")
    return float((gains[order] * _discounts(len(gains), k)).sum() / _ideal(gains, k))


def random_floor(gains: Floats, k: int | None = None) -> float:
    """The expected nDCG@k of an order drawn at random: every place then has the mean gain."""
    return float(gains.mean() * _discounts(len(gains), k).sum() / _ideal(gains, k))


def _ideal(gains: Floats, k: int | None) -> float:
    return float((np.sort(gains)[::-1] * _discounts(len(gains), k)).sum())


def _discounts(n: int, k: int | None) -> Floats:
    places = np.arange(1, n + 1)
    return np.where(places <= (k or n), 1 / np.log2(places + 1), 0.0)


def _global_shares(examples: Examples) -> tuple[Floats, Floats]:
    """Mean absolute share per word type over the examples, words in alphabetical order."""
    sums = np.zeros((2, len(examples.words)))
    for part in examples.parts.read(["toward"], ["text", "reference", "candidate"]):
        word = examples.word_of[part.words["text"]]
        sums += [np.bincount(word, np.abs(side), sums.shape[1]) for side in shares_of(part)]
    reference, candidate = sums / max(len(examples), 1)
    return reference, candidate
