"""Versions asked directly: a saved version as a function from texts to logits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from calig.metrics.perturbation import FloatArray
from components import probe
from components.scoring.models import open_classifier
from components.scoring.scorer import TokenScorer
from tests.helpers.snapshots import snapshot_of

_LONGEST = 512  # tokens


@lru_cache(maxsize=8)
def scorer(version: Path) -> probe.TextScorer:
    """Texts → logits by torch: for a model of this size an export would take longer than the probe."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(version)
    classifier = open_classifier(snapshot_of(version), device="cpu")
    tokens = TokenScorer(classifier.run, classifier.collator, n_classes=classifier.n_classes)
    return probe.text_scorer(tokenizer, tokens.logits, max_length=min(_LONGEST, tokenizer.model_max_length))


def answers_of(version: Path, texts: Sequence[str]) -> FloatArray:
    """The number of the class that a version answers each text with."""
    return np.asarray(scorer(version)(texts).argmax(axis=1))


def probabilities_of(version: Path, texts: Sequence[str]) -> FloatArray:
    """Softmax of a version's logits, `texts classes`."""
    logits = scorer(version)(texts)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))
