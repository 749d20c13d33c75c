"""The set shift: whether the words of a set move the answer together, more than words of honest retrainings do.

Words of a set are no independent witnesses: training moves similar words alike. With n words, spread s of their changes and
correlation ρ the error of their mean is s · √(inflation / n), inflation = (1 + (n − 1) ρ) / (1 − ρ), the variance inflation of
CAMERA (Wu and Smyth 2012) on the spread that is left within the set. ρ is taken from honest pairs of versions, drawn toward a
stated prior; without such pairs the prior stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from components.common.intervals import POWER
from components.drift.examples import Examples, shares_of
from components.drift.parts import Ints, Part, Sums, summed
from components.drift.sets import WordSet, texts_held
from components.drift.statistics.word_shift import typical_decisions
from components.table.units import Floats
from schemas.base import CheckVerdict
from schemas.config import DriftConfig
from schemas.drift import Noise, SetNoise, SetShift

#: A choice, not measured: ten times what CAMERA presets for genes, with the weight of four further versions.
PRIOR_CORRELATION, PRIOR_WEIGHT = 0.1, 4.0

#: Fewer words are no set: each is tested by itself.
MIN_WORDS = 5

#: Smallest spread of the words' changes, typical decisions: equal words must not look like certainty.
_SPREAD_FLOOR = 0.02

_MOST_WORDS_NEEDED = 10_000


@dataclass(frozen=True)
class _Group:
    """The words of a set, toward a class: effects by word under (reference, candidate), and the change of the other words."""

    name: str
    toward: str
    effects: pd.DataFrame
    others: float
    occurrences: int

    @property
    def noise(self) -> SetNoise:
        change = self.effects["candidate"] - self.effects["reference"]
        spread = float(change.std(ddof=1)) if len(change) > 1 else 0.0
        mean = float(change.mean()) - self.others
        return SetNoise(name=self.name, toward=self.toward, words=len(change), mean=mean, spread=max(spread, _SPREAD_FLOOR))


def set_noise(examples: Examples, sets: Sequence[WordSet]) -> tuple[SetNoise, ...]:
    """Mean and spread of the words' changes, of every set and class with words enough; for honest pairs."""
    return tuple(group.noise for group in _groups(examples, sets) if len(group.effects) >= MIN_WORDS)


def set_shifts(examples: Examples, sets: Sequence[WordSet], noise: Noise, config: DriftConfig) -> list[SetShift]:
    """Every set toward every class; p times the number of sets and classes tested (Bonferroni); the largest |t| first.

    A word's change is the mean over the examples with it; the set's is the mean over its words, less the median of all others.
    """
    groups = list(_groups(examples, sets))
    tested = [group for group in groups if len(group.effects) >= MIN_WORDS]
    named = {one.name for one in sets if one.named}
    found = [_tested(group, noise, config, len(tested), named=group.name in named) for group in tested]
    for one in sets:
        if not any(group.name == one.name for group in tested):
            found.append(_untested(one, [group for group in groups if group.name == one.name]))
    return sorted(found, key=lambda s: (not s.fires, -abs(s.t or 0.0)))


def inflation(n: int, correlation: float) -> float:
    """Factor on s²/n that makes it the variance of the mean of n words with this correlation, s their own spread."""
    return (1 + (n - 1) * correlation) / (1 - correlation)


def moderated(n: int, pairs: Sequence[SetNoise], freedom: float) -> tuple[float, float]:
    """The inflation that honest pairs show, drawn toward the prior, and its degrees of freedom."""
    if not pairs:
        return inflation(n, PRIOR_CORRELATION), PRIOR_WEIGHT
    between = float(np.mean([pair.words * pair.mean**2 for pair in pairs]))
    measured = between / float(np.mean([pair.spread**2 for pair in pairs]))
    weighed = PRIOR_WEIGHT * inflation(n, PRIOR_CORRELATION) + freedom * measured
    return max(1.0, weighed / (PRIOR_WEIGHT + freedom)), PRIOR_WEIGHT + freedom


def correlation_of(n: int, inflated: float) -> float:
    """The correlation that an inflation stands for."""
    return (inflated - 1) / (inflated + n - 1)


def _freedom(noise: Noise) -> float:
    """Independent differences among the pairs: of v twins v − 1; consecutive versions share one, of n pairs 2n/3 count."""
    if noise.retraining == "twins":
        return len({name for pair in noise.pairs for name in (pair.reference, pair.candidate)}) - 1
    return 2 * len(noise.pairs) / 3


def _tested(group: _Group, noise: Noise, config: DriftConfig, n_tests: int, *, named: bool) -> SetShift:
    own, n, level = group.noise, len(group.effects), config.false_discovery_rate / n_tests
    pairs = [one for pair in noise.pairs for one in pair.sets if (one.name, one.toward) == (group.name, group.toward)]
    inflated, known = moderated(n, pairs, _freedom(noise))
    error, freedom = own.spread * np.sqrt(inflated / n), _together(n, known)
    t = own.mean / error
    p = float(2 * stats.t.sf(abs(t), freedom))
    fires = abs(own.mean) >= config.set_shift and p <= level
    limit = float(stats.t.isf(level / 2, freedom))
    detectable = max(config.set_shift, limit * error) + float(stats.t.ppf(POWER, freedom)) * error
    blind = named and not fires and detectable > config.word_shift
    return _shift(group, own).model_copy(
        update={
            "correlation": correlation_of(n, inflated),
            "standard_error": float(error),
            "t": float(t),
            "p_value": p,
            "p_adjusted": min(1.0, p * n_tests),
            "detectable_effect": float(detectable),
            "words_needed": _words_needed(own.spread, known, correlation_of(n, inflated), level, config) if blind else None,
            "verdict": CheckVerdict.FAIL if fires else CheckVerdict.INCONCLUSIVE if blind else CheckVerdict.PASS,
            "fires": fires,
        }
    )


def _shift(group: _Group, own: SetNoise) -> SetShift:
    change = (group.effects["candidate"] - group.effects["reference"]).sort_values(key=abs, ascending=False)
    return SetShift(
        name=group.name,
        toward=group.toward,
        words=own.words,
        occurrences=group.occurrences,
        reference_effect=float(group.effects["reference"].mean()),
        candidate_effect=float(group.effects["candidate"].mean()),
        effect=own.mean,
        strongest=tuple(map(str, change.index[:5])),
        verdict=CheckVerdict.PASS,
    )


def _untested(one: WordSet, groups: Sequence[_Group]) -> SetShift:
    """A set with too few words in the data: the operator wants an answer, a built-in one does not apply."""
    most = max(groups, key=lambda group: len(group.effects), default=None)
    return SetShift(
        name=one.name,
        toward="" if most is None else most.toward,
        words=0 if most is None else len(most.effects),
        occurrences=sum(group.occurrences for group in groups),
        words_needed=MIN_WORDS,
        verdict=CheckVerdict.INCONCLUSIVE if one.named else CheckVerdict.NOT_APPLICABLE,
    )


def _together(n: int, known: float) -> float:
    """Degrees of freedom of a spread over n words and an inflation with `known` of its own (Satterthwaite)."""
    return 1 / (1 / (n - 1) + 1 / known)


def _margin(level: float, freedom: float) -> float:
    """Errors that a change must be away from zero to be found with 80 % chance."""
    return float(stats.t.isf(level / 2, freedom) + stats.t.ppf(POWER, freedom))


def _words_needed(spread: float, known: float, correlation: float, level: float, config: DriftConfig) -> int | None:
    """Words of the same spread and correlation with which a change as large as a single word's limit would be found."""
    for n in np.unique(np.geomspace(MIN_WORDS, _MOST_WORDS_NEEDED, 200).astype(int)).tolist():
        error = spread * np.sqrt(inflation(n, correlation) / n)
        if _margin(level, _together(n, known)) * error <= config.word_shift:
            return int(n)
    return None


def _groups(examples: Examples, sets: Sequence[WordSet]) -> Iterator[_Group]:
    if not len(examples):
        return
    held = texts_held(examples, sets)
    everything, within, outside = _effects(examples, held)
    for toward, number in sorted(examples.towards.items()):
        for one, members, others in zip(sets, within, outside, strict=True):
            found = _by_word(members, examples, number)
            if len(found):
                rest = _by_word(everything, examples, number).drop(_spelled(examples, held[sets.index(one)]), errors="ignore")
                rest = pd.concat([rest, _by_word(others, examples, number)])
                yield _Group(one.name, toward, found, _median_change(rest), int(found["occurrences"].sum()))


def _median_change(words: pd.DataFrame) -> float:
    return float((words["candidate"] - words["reference"]).median()) if len(words) else 0.0


def _spelled(examples: Examples, held: NDArray[np.bool_]) -> list[str]:
    """The words of which some spelling is in the set."""
    return [examples.words[word] for word in np.unique(examples.word_of[held])]


def _effects(examples: Examples, held: NDArray[np.bool_]) -> tuple[Sums, list[Sums], list[Sums]]:
    """Effects of words toward each class: of all, and for every set of its members and of its words' other spellings.

    held: `sets texts`. Only words with a member among their spellings are counted apart.
    """
    typical, size = typical_decisions(examples), len(examples.words)
    everything, within, outside = Sums(4), [Sums(4) for _ in held], [Sums(4) for _ in held]
    of_set = np.stack([np.isin(examples.word_of, examples.word_of[some]) for some in held]) if len(held) else held
    for part in examples.parts.read(["mass_0", "mass_1", "toward"], ["text", "reference", "candidate"]):
        codes = part.rows["toward"].astype(np.int64)[part.row] * size + examples.word_of[part.words["text"]]
        effects = _unit_effects(part, typical)
        _add(everything, part, codes, effects, np.ones(len(codes), bool))
        for some, words, inside, beside in zip(held, of_set, within, outside, strict=True):
            member = some[part.words["text"]]
            _add(inside, part, codes, effects, member)
            _add(beside, part, codes, effects, words[part.words["text"]] & ~member)
    for one in (everything, *within, *outside):
        one.finished()
    return everything, within, outside


def _unit_effects(part: Part, typical: tuple[float, float]) -> Floats:
    masses = zip(shares_of(part), ("mass_0", "mass_1"), typical, strict=True)
    return np.stack([share * part.rows[mass][part.row] / unit for share, mass, unit in masses], axis=1)


def _add(sums: Sums, part: Part, codes: Ints, effects: Floats, chosen: NDArray[np.bool_]) -> None:
    """Mean effects in each example, examples and occurrences, of the words that are chosen."""
    if not chosen.any():
        return
    different, place = np.unique(codes[chosen], return_inverse=True)
    pair, found = summed(
        part.row[chosen] * np.int64(len(different)) + place, np.column_stack([effects[chosen], np.ones(len(place))])
    )
    occurrences = found[:, 2]
    means = found[:, :2] / occurrences[:, None]
    sums.add(different[pair % len(different)], *means.T, np.ones(len(pair)), occurrences)


def _by_word(sums: Sums, examples: Examples, toward: int) -> pd.DataFrame:
    """Effects by word, toward a class: the mean over the examples of the mean over its occurrences there."""
    size = len(examples.words)
    chosen = sums.keys // size == toward
    found = sums.values[chosen]
    effects = {"reference": found[:, 0] / found[:, 2], "candidate": found[:, 1] / found[:, 2], "occurrences": found[:, 3]}
    return pd.DataFrame(effects, index=[examples.words[word] for word in sums.keys[chosen] % size])
