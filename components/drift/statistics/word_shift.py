"""The word shift: which single word, or phrase, moves the answer more, or less, than it did (deploy/docs/method.md).

It is judged by its effect: what an occurrence adds to the explained function, over a typical decision of the reference, its
median |f(x) − f(x')|, on the version's own scale; of a regression, the typical deviation of its outputs. A share of a row's
attribution would shrink as texts grow longer, and a number of logits depends on the scale of the head, which changes no class.

Phrases of two words and more are tested over all examples and counted in the same family. Their effect is that of their words
together, and noise may move these together too: a phrase fires by its mean per word. There are many phrases: the limit on |z| is
so much higher for them that all together exceed it by chance no more often than one word does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import stats

from components.common.outputs import typical_deviation
from components.drift.pairing import PairedExample, groups
from components.table.units import Floats, Span, parted, phrase_name
from schemas.config import DriftConfig
from schemas.drift import WordShift

#: Added to the standard error, so that a few coinciding examples do not look like certainty.
ERROR_FLOOR = 0.02


class _Occurrence(NamedTuple):
    """A word in one example: its shares and its effects under (reference, candidate), and the reference's margin there."""

    shares: tuple[float, float]
    effects: tuple[float, float]
    margin: float | None


@dataclass(frozen=True)
class _Test:
    """A word, toward a class, in the examples of a slice that contain it."""

    slice: str
    word: str
    toward: str
    found: Sequence[_Occurrence]
    length: int = 1

    @property
    def effects(self) -> Floats:
        """`examples 2`: under the reference and the candidate."""
        return np.array([o.effects for o in self.found])

    @property
    def change(self) -> Floats:
        """Candidate's less the reference's effect, `examples`."""
        return np.asarray(np.diff(self.effects, axis=1)[:, 0])


def word_shifts(examples: Sequence[PairedExample], config: DriftConfig) -> list[WordShift]:
    """Every word and phrase that occurs in enough examples, words also within each class and segment; the largest |z| first.

    Per example a word's effect is the mean over its occurrences on each side; the shift is the mean of the candidate's less the
    reference's effect over the examples that contain it. z = mean / (standard error + 0.02), p two-sided from Student's t,
    q by Benjamini and Hochberg (1995) over all words, phrases, classes and segments tested. A slice that holds every occurrence
    of a word would repeat the test over all and is left out.
    """
    phrases = _phrase_tests(examples, config)
    tests = [*_tests(examples, config.min_occurrences), *phrases]
    if not tests:
        return []
    errors = [standard_error(test.change) for test in tests]
    z = np.array([test.change.mean() / error for test, error in zip(tests, errors, strict=True)])
    p = 2 * stats.t.sf(np.abs(z), [len(test.found) - 1 for test in tests])
    q = stats.false_discovery_control(p)
    limits = {True: phrase_z(config.word_shift_z, len(phrases)), False: config.word_shift_z}
    rows = zip(tests, errors, z.tolist(), p.tolist(), q.tolist(), strict=True)
    shifts = [_shift(*row, limits[row[0].length > 1], config) for row in rows]
    return sorted(shifts, key=lambda s: (not s.fires, -abs(s.z)))


def phrase_z(word_z: float, n_phrases: int) -> float:
    """The limit on a phrase's |z| at which all of them exceed it by chance as often as one word does `word_z` (Bonferroni)."""
    return float(stats.norm.isf(stats.norm.sf(word_z) / max(n_phrases, 1)))


def own_phrases(phrases: Sequence[WordShift], words: Sequence[WordShift]) -> list[WordShift]:
    """The phrases without those whose change a word or a shorter phrase that fires in them explains."""
    kept: list[WordShift] = []
    firing = [shift for shift in words if shift.fires]
    for phrase in sorted(phrases, key=lambda s: (not s.fires, s.length, -abs(s.z))):
        if not any(shift.toward == phrase.toward and _within(shift.word, phrase.word) for shift in firing):
            kept.append(phrase)
            firing += [phrase] if phrase.fires else []
    return sorted(kept, key=lambda s: (not s.fires, -abs(s.z)))


def _within(part: str, phrase: str) -> bool:
    """Whether the words of one name stand side by side in another's, in the same text of a pair."""
    (words, side), (all_words, of_phrase) = parted(part), parted(phrase)
    return side == of_phrase and f" {words} " in f" {all_words} "


def strongest(shifts: Sequence[WordShift]) -> list[WordShift]:
    """One shift per word and class, in the order of `shifts`: the one over all examples unless only a slice fires."""
    chosen: dict[tuple[str, str], WordShift] = {}
    for shift in shifts:
        known = chosen.get((shift.word, shift.toward))
        if known is None or (shift.slice == "all" and shift.fires >= known.fires):
            chosen[shift.word, shift.toward] = shift
    return sorted(chosen.values(), key=lambda s: (not s.fires, -abs(s.z)))


def typical_decisions(examples: Sequence[PairedExample]) -> tuple[float, float]:
    """What effects are measured in, logits: the reference's median |f(x) − f(x')|, and as much on the candidate's scale.

    The scales are compared by the median ratio of the examples' masses. The candidate's own median difference would rise with a
    planted word, and all other words would seem to fall. Where half of the reference's differences are zero, its median mass
    takes their place; no example has none.

    Of a regression it is the typical deviation of the reference's outputs, for both versions: its scale is that of the number
    that it predicts, and a version that stretches it answers otherwise.
    """
    mass = np.array([e.mass for e in examples])
    outputs = [e.outputs[0] for e in examples if e.outputs is not None]
    typical = unit_of_effects([e.differences[0] for e in examples], mass[:, 0], outputs)
    return typical, typical if outputs else typical * float(np.median(mass[:, 1] / mass[:, 0]))


def unit_of_effects(differences: Sequence[float], masses: Sequence[float] | Floats, outputs: Sequence[float]) -> float:
    """A typical decision on some rows: the median |f(x) − f(x')|, of a regression the typical deviation of its `outputs`.

    Where that is zero it is the median mass. outputs: empty for classes.
    """
    unit = typical_deviation(np.array(outputs)) if outputs else float(np.median(differences))
    return unit or float(np.median(masses))


def standard_error(change: Floats) -> float:
    """Of the mean of paired changes, and the floor."""
    return float(change.std(ddof=1) / np.sqrt(len(change)) + ERROR_FLOOR)


def _tests(examples: Sequence[PairedExample], minimum: int) -> list[_Test]:
    if not examples:
        return []
    typical = typical_decisions(examples)
    tests: list[_Test] = []
    everywhere: dict[tuple[str, str], int] = {}
    occurrences = {id(example): _occurrences(example, typical) for example in examples}
    for name, members in groups(examples):
        found: dict[tuple[str, str], list[_Occurrence]] = defaultdict(list)
        for example in members:
            for word, occurrence in occurrences[id(example)].items():
                found[word, example.toward].append(occurrence)
        if name == "all":
            everywhere = {key: len(some) for key, some in found.items()}
        tests += [
            _Test(name, *key, some)
            for key, some in sorted(found.items())
            if len(some) >= minimum and (name == "all" or len(some) < everywhere[key])
        ]
    return tests


def _phrase_tests(examples: Sequence[PairedExample], config: DriftConfig) -> list[_Test]:
    if config.phrase_words < 2 or not examples:
        return []
    phrases = [list(_phrases(example, config.phrase_words)) for example in examples]
    pairs = zip(examples, phrases, strict=True)
    counts = Counter(key for example, some in pairs for key in {(words, example.toward) for words, _ in some})
    typical, found = typical_decisions(examples), defaultdict(list)
    for example, some in zip(examples, phrases, strict=True):
        places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for words, first in some:
            if counts[words, example.toward] >= config.min_occurrences:
                places[words].append(first)
        shares = _Shares.of(example, typical)
        for words, starts in places.items():
            found[words, example.toward].append(shares.occurrence(starts, len(words)))
    return [_Test("all", phrase_name(words), toward, some, len(words)) for (words, toward), some in sorted(found.items())]


def _phrases(example: PairedExample, longest: int) -> Iterator[tuple[tuple[str, ...], int]]:
    """Units of one text with nothing but blanks between them, and the place of the first; patches form no phrases.

    What a unit is made of does not count, so that covered texts have the same phrases.
    """
    if not example.text:
        return
    texts = [text.casefold() for text, _ in example.units]
    spans = [span for _, span in example.units]
    gaps = [example.text[a[1] : b[0]] for a, b in pairwise(spans)]
    across = [_across(example, a, b) for a, b in pairwise(spans)]
    joined = [gap.isspace() and not between for gap, between in zip(gaps, across, strict=True)]
    for first in range(len(texts)):
        for length in range(2, longest + 1):
            if first + length > len(texts) or not joined[first + length - 2]:
                break
            yield tuple(texts[first : first + length]), first


def _across(example: PairedExample, before: Span, after: Span) -> bool:
    """Whether the second text of a pair begins between two units."""
    return example.pair_start is not None and before[0] < example.pair_start <= after[0]


class _Shares(NamedTuple):
    """One example's shares as Python's numbers, which are faster one by one, with what turns them into effects."""

    sides: tuple[list[float], list[float]]
    scale: tuple[float, float]
    margin: float | None

    @classmethod
    def of(cls, example: PairedExample, typical: tuple[float, float]) -> _Shares:
        """typical: as `typical_decisions` gives it."""
        scale = (example.mass[0] / typical[0], example.mass[1] / typical[1])
        margin = None if example.margin is None else example.margin / typical[0]
        return cls((example.reference.tolist(), example.candidate.tolist()), scale, margin)

    def occurrence(self, starts: Sequence[int], length: int = 1) -> _Occurrence:
        """A phrase, or a word, at these places: shares summed over its occurrences, the mean effect of one."""
        places = [first + k for first in starts for k in range(length)]
        a, b = (sum(side[place] for place in places) for side in self.sides)
        effects = (self.scale[0] * a / len(starts), self.scale[1] * b / len(starts))
        return _Occurrence((a, b), effects, self.margin)


def _occurrences(example: PairedExample, typical: tuple[float, float]) -> dict[str, _Occurrence]:
    """The words of one example."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, (word, _) in enumerate(example.units):
        places[word.casefold()].append(place)
    shares = _Shares.of(example, typical)
    return {word: shares.occurrence(found) for word, found in places.items()}


def _shift(test: _Test, error: float, z: float, p: float, q: float, limit: float, config: DriftConfig) -> WordShift:
    reference, candidate = np.mean([o.shares for o in test.found], axis=0).tolist()
    before, now = test.effects.mean(0).tolist()
    effect = now - before
    fires = abs(effect) / test.length >= config.word_shift and abs(z) >= limit and q <= config.false_discovery_rate
    return WordShift(
        word=test.word,
        length=test.length,
        toward=test.toward,
        reference_share=reference,
        candidate_share=candidate,
        shift=candidate - reference,
        reference_effect=before,
        candidate_effect=now,
        effect=effect,
        turned=_turned(test.found, effect),
        standard_error=error,
        z=z,
        p_value=p,
        q_value=q,
        n=len(test.found),
        slice=test.slice,
        fires=fires,
    )


def _turned(found: Sequence[_Occurrence], effect: float) -> float | None:
    """Share of the examples with the word whose answer is nearer to another one than the word's effect changed."""
    margins = [o.margin for o in found if o.margin is not None]
    return sum(margin < abs(effect) for margin in margins) / len(margins) if margins else None
