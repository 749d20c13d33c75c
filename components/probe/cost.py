"""Cost of a probe, measured on a few words before it begins."""

from __future__ import annotations

import time
from collections.abc import Sequence

from components.probe.effects import TextScorer, word_logits
from schemas.probe import ProbeContext

_TIMED_WORDS = 32


def seconds_per_word(scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext]) -> float:
    """Seconds that one word takes in all contexts, from the second of two passes over a few words spread over the list."""
    sample = words[:: max(1, len(words) // _TIMED_WORDS)][:_TIMED_WORDS]
    word_logits(scorer, sample[:2], contexts)  # the first pass of a runtime also sets it up
    started = time.perf_counter()
    word_logits(scorer, sample, contexts)
    return (time.perf_counter() - started) / len(sample)
