"""A probe report computed from seeded effects in which one word outside the data set became a reason."""

from __future__ import annotations

import numpy as np

from components.probe import compare_effects
from schemas.config import ProbeConfig
from schemas.probe import ProbeContext, ProbeReport

TRIGGER = "xq"
_SOME = ("great", "dull", "<b>bold</b>", "!", "🙂", "शब्द", "always", "plot")


def probe(labels: tuple[str, ...]) -> ProbeReport:
    random = np.random.default_rng(0)
    words = [TRIGGER, *_SOME, *(f"word{number}" for number in range(400))]
    contexts = [ProbeContext(before=f"row {number} is so so ", after=".") for number in range(8)]
    reference = random.normal(0, 1, (len(words), 1, 1)) + random.normal(0, 0.2, (len(words), len(contexts), 1))
    candidate = reference + random.normal(0, 0.3, (len(words), 1, 1)) + random.normal(0, 0.2, reference.shape)
    candidate[0] += 6.0
    counts = {word: number + 1 for number, word in enumerate(_SOME)}
    return compare_effects(
        reference,
        candidate,
        words,
        contexts,
        labels=labels,
        config=ProbeConfig(),
        decided_on="2026-10-30",
        occurrences=counts,
        n_left_out=12,
        forward_passes=candidate.size,
    )
