"""The word shift: which single word carries more, or less, of the attribution than it did (METRICS.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from components.drift.pairing import PairedExample
from schemas.config import DriftConfig
from schemas.drift import WordShift

#: Added to the standard error, so that a few coinciding examples do not look like certainty.
_ERROR_FLOOR = 0.02


def word_shifts(examples: Sequence[PairedExample], config: DriftConfig) -> list[WordShift]:
    """Every word that occurs in enough examples, the largest |z| first.

    Per example the word's signed share is summed over its occurrences on each side; the shift is the mean of the
    candidate's minus the reference's share over the examples that contain it. z = mean / (standard error + 0.02),
    p two-sided from Student's t, q by Benjamini and Hochberg (1995) over all words and classes tested.
    """
    groups = {k: v for k, v in _shares(examples).items() if len(v) >= config.min_occurrences}
    tested = [(word, toward, np.array(pairs)) for (word, toward), pairs in sorted(groups.items())]
    if not tested:
        return []
    z = np.array([_z(pairs) for _, _, pairs in tested])
    p = np.array([2 * stats.t.sf(abs(value), len(pairs) - 1) for value, (_, _, pairs) in zip(z, tested, strict=True)])
    q = stats.false_discovery_control(p)
    shifts = [_shift(*group, float(zi), float(pi), float(qi), config) for group, zi, pi, qi in zip(tested, z, p, q, strict=True)]
    return sorted(shifts, key=lambda s: (not s.fires, -abs(s.z)))


def _shares(examples: Iterable[PairedExample]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(word, class) → per example, the word's share under (reference, candidate)."""
    shares: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for example in examples:
        sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        for (word, _), a, b in zip(example.units, example.reference, example.candidate, strict=True):
            sums[word.casefold()] += (a, b)
        for word, (a, b) in sums.items():
            shares[word, example.toward].append((float(a), float(b)))
    return shares


def _z(pairs: np.ndarray) -> float:
    change = pairs[:, 1] - pairs[:, 0]
    return float(change.mean() / (change.std(ddof=1) / np.sqrt(len(change)) + _ERROR_FLOOR))


def _shift(word: str, toward: str, pairs: np.ndarray, z: float, p: float, q: float, config: DriftConfig) -> WordShift:
    reference, candidate = (float(m) for m in pairs.mean(0))
    shift = candidate - reference
    fires = abs(shift) >= config.word_shift and abs(z) >= config.word_shift_z and q <= config.false_discovery_rate
    return WordShift(
        word=word,
        toward=toward,
        reference_share=reference,
        candidate_share=candidate,
        shift=shift,
        z=z,
        p_value=p,
        q_value=q,
        n=len(pairs),
        fires=fires,
    )
