"""The word shift: which single word carries more, or less, of the attribution than it did (METRICS.md)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from components.drift.pairing import PairedExample
from components.drift.slices import groups
from components.drift.units import Floats
from schemas.config import DriftConfig
from schemas.drift import WordShift

#: Added to the standard error, so that a few coinciding examples do not look like certainty.
ERROR_FLOOR = 0.02

_Test = tuple[str, str, str, Floats]


def word_shifts(examples: Sequence[PairedExample], config: DriftConfig) -> list[WordShift]:
    """Every word that occurs in enough examples, over all, within each class and each segment; the largest |z| first.

    Per example the word's signed share is summed over its occurrences on each side; the shift is the mean of the
    candidate's minus the reference's share over the examples that contain it. z = mean / (standard error + 0.02),
    p two-sided from Student's t, q by Benjamini and Hochberg (1995) over all words, classes and segments tested.
    A slice that holds every occurrence of a word would repeat the test over all and is left out.
    """
    tests = _tests(examples, config.min_occurrences)
    if not tests:
        return []
    z = np.array([_z(pairs) for *_, pairs in tests])
    p = 2 * stats.t.sf(np.abs(z), [len(pairs) - 1 for *_, pairs in tests])
    q = stats.false_discovery_control(p)
    shifts = [_shift(test, float(zi), float(pi), float(qi), config) for test, zi, pi, qi in zip(tests, z, p, q, strict=True)]
    return sorted(shifts, key=lambda s: (not s.fires, -abs(s.z)))


def strongest(shifts: Sequence[WordShift]) -> list[WordShift]:
    """One shift per word and class, in the order of `shifts`: the one over all examples unless only a slice fires."""
    chosen: dict[tuple[str, str], WordShift] = {}
    for shift in shifts:
        known = chosen.get((shift.word, shift.toward))
        if known is None or (shift.slice == "all" and shift.fires >= known.fires):
            chosen[shift.word, shift.toward] = shift
    return sorted(chosen.values(), key=lambda s: (not s.fires, -abs(s.z)))


def _tests(examples: Sequence[PairedExample], minimum: int) -> list[_Test]:
    tests: list[_Test] = []
    everywhere: dict[tuple[str, str], int] = {}
    for name, members in groups(examples):
        shares = _shares(members)
        if name == "all":
            everywhere = {key: len(pairs) for key, pairs in shares.items()}
        tests += [
            (name, *key, np.array(pairs))
            for key, pairs in sorted(shares.items())
            if len(pairs) >= minimum and (name == "all" or len(pairs) < everywhere[key])
        ]
    return tests


def _shares(examples: Iterable[PairedExample]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(word, class) → per example, the word's share under (reference, candidate)."""
    shares: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for example in examples:
        sums: dict[str, Floats] = defaultdict(lambda: np.zeros(2))
        for (word, _), a, b in zip(example.units, example.reference, example.candidate, strict=True):
            sums[word.casefold()] += (a, b)
        for word, (a, b) in sums.items():
            shares[word, example.toward].append((float(a), float(b)))
    return shares


def _z(pairs: Floats) -> float:
    change = pairs[:, 1] - pairs[:, 0]
    return float(change.mean() / (change.std(ddof=1) / np.sqrt(len(change)) + ERROR_FLOOR))


def _shift(test: _Test, z: float, p: float, q: float, config: DriftConfig) -> WordShift:
    name, word, toward, pairs = test
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
        slice=name,
        fires=fires,
    )
