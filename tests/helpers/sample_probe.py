"""A probe report computed from seeded effects in which one word outside the data set, and capitals, became a reason."""

from __future__ import annotations

import numpy as np

from components.probe import Explained, TransformedTexts, compare_effects, compare_transformed, with_transformations
from schemas.config import ProbeConfig
from schemas.probe import MetamorphicReport, ProbeContext, ProbeReport

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
    words_alone = compare_effects(
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
    return with_transformations(words_alone, _transformed(labels))


def _transformed(labels: tuple[str, ...]) -> MetamorphicReport:
    """Capitals speak for the last class under the candidate; no row has a negation."""
    random = np.random.default_rng(1)
    rows = tuple(f"row {number}" for number in range(40))
    changed = {name: {at: f"{row} {name}" for at, row in enumerate(rows)} for name in ("case", "punctuation", "order")}
    texts = TransformedTexts(rows, changed | {"negation": {}})
    reference = random.normal(0, 2, (len(texts.texts), len(labels)))
    versions = [reference + random.normal(0, 0.2, reference.shape) for _ in range(4)]
    versions[1][len(rows) : 2 * len(rows), -1] += 12.0
    return compare_transformed(
        texts,
        versions,
        Explained(labels, "centred"),
        config=ProbeConfig(),
        decided_on="2026-10-30",
        twin_names=("models:/reviews/3", "models:/reviews/4"),
    )
