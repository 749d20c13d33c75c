"""The set shift: whether the words of a set move the answer together, more than words of honest retrainings do.

Words of a set are no independent witnesses: training moves similar words alike. With n words, spread s of their changes and
correlation ρ the error of their mean is s · √(inflation / n), inflation = (1 + (n − 1) ρ) / (1 − ρ), the variance inflation of
CAMERA (Wu and Smyth 2012) on the spread that is left within the set. ρ is taken from honest pairs of versions, drawn toward a
stated prior; without such pairs the prior stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from components.common.intervals import POWER
from components.drift.pairing import PairedExample
from components.drift.sets import WordSet
from components.drift.statistics.word_shift import typical_decisions
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


def set_noise(examples: Sequence[PairedExample], sets: Sequence[WordSet]) -> tuple[SetNoise, ...]:
    """Mean and spread of the words' changes, of every set and class with words enough; for honest pairs."""
    return tuple(group.noise for group in _groups(examples, sets) if len(group.effects) >= MIN_WORDS)


def set_shifts(examples: Sequence[PairedExample], sets: Sequence[WordSet], noise: Noise, config: DriftConfig) -> list[SetShift]:
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


def _groups(examples: Sequence[PairedExample], sets: Iterable[WordSet]) -> Iterator[_Group]:
    if not examples:
        return
    units = _units(examples)
    spelled = {one.name: {text for text in units["text"].unique() if one.holds(text)} for one in sets}
    for toward, some in units.groupby("toward", sort=True):
        for name, members in spelled.items():
            belongs = some["text"].isin(members)
            if belongs.any():
                yield _group(name, str(toward), some[belongs], some[~belongs])


def _group(name: str, toward: str, members: pd.DataFrame, rest: pd.DataFrame) -> _Group:
    others = _by_word(rest)
    median = float((others["candidate"] - others["reference"]).median()) if len(others) else 0.0
    return _Group(name, toward, _by_word(members), median, len(members))


def _by_word(units: pd.DataFrame) -> pd.DataFrame:
    """Effects by word: the mean over the examples of the mean over its occurrences there."""
    columns = ["reference", "candidate"]
    return units.groupby(["word", "example"], sort=True)[columns].mean().groupby(level="word").mean()


def _units(examples: Sequence[PairedExample]) -> pd.DataFrame:
    """One line per word of each example: as written, case folded, and its effects under both versions."""
    typical = typical_decisions(examples)
    return pd.DataFrame(
        {
            "text": [text for e in examples for text, _ in e.units],
            "word": [text.casefold() for e in examples for text, _ in e.units],
            "toward": [e.toward for e in examples for _ in e.units],
            "example": [i for i, e in enumerate(examples) for _ in e.units],
            "reference": np.concatenate([e.reference * e.mass[0] / typical[0] for e in examples]),
            "candidate": np.concatenate([e.candidate * e.mass[1] / typical[1] for e in examples]),
        }
    )
