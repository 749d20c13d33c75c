"""The word shift: which single word, or phrase, moves the answer more, or less, than it did (deploy/docs/method.md).

It is judged by its effect: what an occurrence adds to the explained function, over a typical decision of the reference, its
median |f(x) − f(x')|, on the version's own scale; of a regression, the typical deviation of its outputs. A share of a row's
attribution would shrink as texts grow longer, and a number of logits depends on the scale of the head, which changes no class.

Phrases of two words and more are tested over all examples and counted in the same family. Their effect is that of their words
together, and noise may move these together too: a phrase fires by its mean per word. There are many phrases: the limit on |z| is
so much higher for them that all together exceed it by chance no more often than one word does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from components.common.outputs import typical_deviation
from components.drift.examples import Examples
from components.drift.occurrences import Occurrences, Vocabulary, occurrences
from components.table.units import Floats, parted, phrase_name
from schemas.config import DriftConfig
from schemas.drift import WordShift

#: Added to the standard error, so that a few coinciding examples do not look like certainty.
ERROR_FLOOR = 0.02


class _Test(NamedTuple):
    """A word or phrase, toward a class, in the examples of a slice that contain it."""

    slice: str
    words: tuple[str, ...]
    toward: str

    @property
    def name(self) -> str:
        return phrase_name(self.words)


@dataclass(frozen=True)
class _Moments:
    """Of every test: examples, mean shares and effects under (reference, candidate), mean change, spread, answers turned."""

    n: Floats
    shares: Floats
    effects: Floats
    change: Floats
    deviation: Floats
    turned: Floats

    @property
    def error(self) -> Floats:
        """Standard error of the mean change, and the floor."""
        return np.asarray(self.deviation / np.sqrt(self.n) + ERROR_FLOOR)


def word_shifts(examples: Examples, config: DriftConfig) -> list[WordShift]:
    """Every word and phrase that occurs in enough examples, words also within each class and segment; the largest |z| first.

    Per example a word's effect is the mean over its occurrences on each side; the shift is the mean of the candidate's less the
    reference's effect over the examples that contain it. z = mean / (standard error + 0.02), p two-sided from Student's t,
    q by Benjamini and Hochberg (1995) over all words, phrases, classes and segments tested. A slice that holds every occurrence
    of a word would repeat the test over all and is left out.

    The examples are read several times: what occurs often enough, longer phrases from shorter ones; means; spreads about them.
    """
    family = _Family.of(examples, config)
    if not family.tests:
        return []
    found = family.moments()
    z = found.change / found.error
    p = 2 * stats.t.sf(np.abs(z), found.n - 1)
    q = stats.false_discovery_control(p)
    n_phrases = sum(len(test.words) > 1 for test in family.tests)
    limits = _Limits.failing(config, n_phrases), _Limits.warning(config, n_phrases)
    shifts = [_shift(test, found, i, (z[i], p[i], q[i]), limits) for i, test in enumerate(family.tests)]
    return sorted(shifts, key=_gravest_first)


class _Limits(NamedTuple):
    """What a word or phrase has to be beyond: effect per word, |z| of a word and of a phrase, and q."""

    effect: float
    word_z: float
    phrase_z: float
    q: float

    @classmethod
    def failing(cls, config: DriftConfig, n_phrases: int) -> _Limits:
        z = config.word_shift_z
        return cls(config.word_shift, z, phrase_z(z, n_phrases), config.false_discovery_rate)

    @classmethod
    def warning(cls, config: DriftConfig, n_phrases: int) -> _Limits:
        z = config.warning_shift_z
        return cls(config.warning_shift, z, phrase_z(z, n_phrases), config.warning_discovery_rate)

    def exceeded(self, effect: float, z: float, q: float, length: int) -> bool:
        least = self.word_z if length == 1 else self.phrase_z
        return bool(abs(effect) / length >= self.effect and abs(z) >= least and q <= self.q)


def _gravest_first(shift: WordShift) -> tuple[int, float]:
    return -shift.gravity, -abs(shift.z)


def phrase_z(word_z: float, n_phrases: int) -> float:
    """The limit on a phrase's |z| at which all of them exceed it by chance as often as one word does `word_z` (Bonferroni)."""
    return float(stats.norm.isf(stats.norm.sf(word_z) / max(n_phrases, 1)))


def own_phrases(phrases: Sequence[WordShift], words: Sequence[WordShift]) -> list[WordShift]:
    """The phrases without those whose change a word or a shorter phrase in them explains: one that fires, or warns as they do."""
    kept: list[WordShift] = []
    grave = [shift for shift in words if shift.gravity]
    for phrase in sorted(phrases, key=lambda s: (-s.gravity, s.length, -abs(s.z))):
        if not any(_explains(shift, phrase) for shift in grave):
            kept.append(phrase)
            grave += [phrase] if phrase.gravity else []
    return sorted(kept, key=_gravest_first)


def _explains(shift: WordShift, phrase: WordShift) -> bool:
    as_grave = shift.fires or (shift.warns and phrase.warns)
    return as_grave and shift.toward == phrase.toward and _within(shift.word, phrase.word)


def _within(part: str, phrase: str) -> bool:
    """Whether the words of one name stand side by side in another's, in the same text of a pair."""
    (words, side), (all_words, of_phrase) = parted(part), parted(phrase)
    return side == of_phrase and f" {words} " in f" {all_words} "


def strongest(shifts: Sequence[WordShift]) -> list[WordShift]:
    """One shift per word and class, in the order of `shifts`: the one over all examples unless a slice is graver."""
    chosen: dict[tuple[str, str], WordShift] = {}
    for shift in shifts:
        known = chosen.get((shift.word, shift.toward))
        if known is None or (shift.slice == "all" and shift.gravity >= known.gravity):
            chosen[shift.word, shift.toward] = shift
    return sorted(chosen.values(), key=_gravest_first)


def typical_decisions(examples: Examples) -> tuple[float, float]:
    """What effects are measured in, logits: the reference's median |f(x) − f(x')|, and as much on the candidate's scale.

    The scales are compared by the median ratio of the examples' masses. The candidate's own median difference would rise with a
    planted word, and all other words would seem to fall. Where half of the reference's differences are zero, its median mass
    takes their place; no example has none.

    Of a regression it is the typical deviation of the reference's outputs, for both versions: its scale is that of the number
    that it predicts, and a version that stretches it answers otherwise.
    """
    masses = examples.column("mass_0")
    outputs = examples.column("output")
    outputs = outputs[~np.isnan(outputs)]
    typical = unit_of_effects(examples.column("difference"), masses, outputs)
    return typical, typical if len(outputs) else typical * float(np.median(examples.column("mass_1") / masses))


def unit_of_effects(differences: Floats, masses: Floats, outputs: Floats) -> float:
    """A typical decision on some rows: the median |f(x) − f(x')|, of a regression the typical deviation of its `outputs`.

    Where that is zero it is the median mass. outputs: empty for classes.
    """
    unit = typical_deviation(outputs) if len(outputs) else float(np.median(differences))
    return unit or float(np.median(masses))


@dataclass(frozen=True)
class _Family:
    """All tests, and where each stands: `of_words`, `slices words`, and `of_phrases` of every length; −1: not tested."""

    examples: Examples
    vocabulary: Vocabulary
    tests: list[_Test]
    of_words: NDArray[np.int64]
    of_phrases: list[NDArray[np.int64]]

    @classmethod
    def of(cls, examples: Examples, config: DriftConfig) -> _Family:
        """The words and phrases that occur often enough; by slice, class and word."""
        vocabulary = Vocabulary.of(examples, config.min_occurrences, config.phrase_words)
        counts = _counts_by_slice(examples, vocabulary)
        tested = (counts >= config.min_occurrences) & (counts < counts[0])
        tested[0] = True
        words = [
            (_Test(examples.slices[part], *vocabulary.named(0, key)), part, key)
            for part, key in zip(*(some.tolist() for some in np.nonzero(tested)), strict=True)
        ]
        words.sort(key=lambda one: (one[1], one[0].words, one[0].toward))
        longer = [
            (_Test("all", *vocabulary.named(level, key)), level, key)
            for level in range(1, len(vocabulary.keys))
            for key in range(len(vocabulary.keys[level]))
        ]
        longer.sort(key=lambda one: (one[0].words, one[0].toward))
        of_words = np.full(counts.shape, -1, np.int64)
        of_phrases = [np.full(len(keys), -1, np.int64) for keys in vocabulary.keys[1:]]
        for number, (_, part, key) in enumerate(words):
            of_words[part, key] = number
        for number, (_, level, key) in enumerate(longer, start=len(words)):
            of_phrases[level - 1][key] = number
        return cls(examples, vocabulary, [test for test, _, _ in (*words, *longer)], of_words, of_phrases)

    def moments(self) -> _Moments:
        """Means in one reading of the examples, what lies around them in another."""
        typical, size = typical_decisions(self.examples), len(self.tests)
        n, sums = np.zeros(size), np.zeros((5, size))
        for tests, at in self._located(typical):
            n += np.bincount(tests, minlength=size)
            sums += [np.bincount(tests, column, size) for column in (*at.shares.T, *at.effects.T, at.change)]
        means = sums / n
        shares, effects, change = means[:2], means[2:4], means[4]
        squares, turned, known = np.zeros(size), np.zeros(size), np.zeros(size)
        for tests, at in self._located(typical):
            squares += np.bincount(tests, (at.change - change[tests]) ** 2, size)
            turned += np.bincount(tests, at.margin / typical[0] < np.abs(effects[1] - effects[0])[tests], size)
            known += np.bincount(tests, ~np.isnan(at.margin), size)
        with np.errstate(invalid="ignore"):  # of words without any margin it is not known
            return _Moments(n, shares.T, effects.T, change, np.sqrt(squares / (n - 1)), turned / known)

    def _located(self, typical: tuple[float, float]) -> Iterator[tuple[NDArray[np.int64], Occurrences]]:
        """The occurrences by the number of their test, those of words once for every slice; part by part."""
        for part in self.vocabulary.read(self.examples):
            for level in range(len(self.vocabulary.keys)):
                found = occurrences(part, self.vocabulary, level, typical)
                places = self.of_words[:, found.key] if level == 0 else self.of_phrases[level - 1][None, found.key]
                inside = self.examples.members[found.cuts, : len(places)].T & (places >= 0)
                slices, rows = np.nonzero(inside)
                yield places[slices, rows], found.at(rows)


def _counts_by_slice(examples: Examples, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """`slices words`: in how many examples of a slice a word occurs that is frequent over all."""
    counts = np.zeros((len(examples.slices), len(vocabulary.keys[0])), np.int64)
    for part in vocabulary.read(examples):
        found = occurrences(part, vocabulary, 0, (1.0, 1.0))
        slices, rows = np.nonzero(examples.members[found.cuts].T)
        np.add.at(counts, (slices, found.key[rows]), 1)
    return counts


def _shift(
    test: _Test, found: _Moments, i: int, tested: tuple[float, float, float], limits: tuple[_Limits, _Limits]
) -> WordShift:
    """The test's outcome. tested: z, p, q; limits: of those that fire, and of those that warn."""
    (reference, candidate), (before, now) = found.shares[i].tolist(), found.effects[i].tolist()
    effect, turned, length, (z, p, q) = now - before, float(found.turned[i]), len(test.words), tested
    fires, warns = (of.exceeded(effect, z, q, length) for of in limits)
    return WordShift(
        word=test.name,
        length=length,
        toward=test.toward,
        reference_share=reference,
        candidate_share=candidate,
        shift=candidate - reference,
        reference_effect=before,
        candidate_effect=now,
        effect=effect,
        turned=None if np.isnan(turned) else turned,
        standard_error=float(found.error[i]),
        z=float(z),
        p_value=float(p),
        q_value=float(q),
        n=int(found.n[i]),
        slice=test.slice,
        fires=fires,
        warns=warns and not fires,
    )
