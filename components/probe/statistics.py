"""The paired change of every word's effect, how far it stands out of the noise, and the limits that noise hardly reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from calig.metrics.perturbation import FloatArray
from components.common.intervals import detectable
from schemas.base import Severity, Threshold
from schemas.config import ProbeConfig
from schemas.probe import WordPlace

Unit = Literal["word", "pattern"]

#: The words that stand for all.
_Selection = NDArray[np.bool_] | slice

#: Share of the words or patterns, those with the largest changes, that the spread leaves out: planted ones must not hide
#: themselves. One colour is in many of the few patterns, one word is in one of many.
_LEFT_OUT: dict[Unit, float] = {"word": 0.02, "pattern": 0.25}

#: Further honest retrainings that the words at large count for, beside a word's own, when its noise is measured. Few
#: retrainings hardly show a single word's; from 4 to 12 our experiment tells planted words apart equally well.
_PRIOR_FREEDOM = 6

#: Standard deviation of a word's effect between two honest retrainings, as a share of the effect, beside what all words do.
#: Measured among the twins of our experiment's six cells as 0.2 on average, 0.36 at most; it tells planted words apart equally
#: well from 0.2 to 0.4.
_RELATIVE_NOISE = 0.3

#: Contexts beyond these make the estimates better, yet nothing more certain: words that honest retraining moves most are also
#: those on which contexts disagree, and with a standard error that shrinks on they would stand out.
_COUNTED_CONTEXTS = 16


#: Correlation of two versions' effects, over words, above which one is a copy of the other, or nearly. With `_RELATIVE_NOISE`
#: between honest retrainings it is about 0.95.
_NEAR_COPY = 0.995


@dataclass(frozen=True, eq=False)
class Shifts:
    """Per word and direction (`words directions`): mean change, its standard error over the contexts, its z; logits.

    noise: what z is a change over. spread: what noise does to the words at large, root mean square, per direction.
    uncapped: how many times what it was supposed to be the measured noise was, where the cap acted; None: it did not.
    """

    mean: FloatArray
    standard_error: FloatArray
    noise: FloatArray
    z: FloatArray
    spread: FloatArray
    uncapped: float | None = None


def shifts(
    reference: FloatArray,
    candidate: FloatArray,
    unit: Unit = "word",
    twins: Sequence[FloatArray] = (),
    noise_cap: float = np.inf,
    at_large: NDArray[np.bool_] | None = None,
) -> Shifts:
    """The change of effects `words contexts directions` from the reference, and its twins, to the candidate, word by word.

    z = mean / √(noise² + standard error²): what honest retraining does and how far the contexts disagree about this word
    both count. With twins the change is from the mean of them and the reference, and the noise is the word's own among them;
    where the candidate moves the words at large further than the twins do, by so much more must a word stand out. Twins that
    move the words at large more than `noise_cap` times as far as the candidate does count for no more than that.

    at_large: the words that stand for all of them, where the others were chosen by their change; None: all do. One context shows
    no disagreement: the standard error is 0 there.
    """
    family, large = np.stack([reference, *twins]), slice(None) if at_large is None else at_large
    change = candidate - family.mean(axis=0)
    mean = change.mean(axis=1)
    mean = mean - np.median(mean[large], axis=0)
    error = change.std(axis=1, ddof=min(1, change.shape[1] - 1)) / np.sqrt(counted(change.shape[1]))
    left_out = _LEFT_OUT[unit]
    noise = _measured(family, large) if twins else _supposed(reference, mean, large, left_out)
    excess = _at_large(family[:, large], left_out) / _spread(mean[large], left_out) if twins else np.ones(mean.shape[1])
    noise = noise / np.maximum(1.0, excess / noise_cap)
    total = np.hypot(noise, error)
    if twins:
        total = total * np.maximum(1.0, _spread((mean / total)[large], left_out))
    uncapped = float(excess.max()) if excess.max() > noise_cap else None
    return Shifts(mean, error, total, mean / total, np.sqrt((noise**2).mean(axis=0)), uncapped)


def near_copy(one: FloatArray, other: FloatArray) -> bool:
    """Whether two versions' effects agree far beyond what training again by another seed gives."""
    sides = [effects.mean(axis=1).ravel() for effects in (one, other)]
    if np.array_equal(*sides):
        return True
    if min(side.std() for side in sides) == 0.0:
        return False
    return bool(np.corrcoef(*sides)[0, 1] > _NEAR_COPY)


def counted(n_contexts: int) -> int:
    """Contexts that a standard error, and its degrees of freedom, may count."""
    return min(n_contexts, _COUNTED_CONTEXTS)


def _measured(family: FloatArray, large: _Selection) -> FloatArray:
    """Noise of the candidate's distance from the mean of `versions words contexts directions`, per word and direction.

    A word's variance among m versions is drawn toward the mean of all words' and a share of what the word does (a moderated
    variance with a trend, Smyth 2004, with fixed weights), and grows by 1 + 1/m: the mean of the family is itself uncertain.
    """
    effects = family.mean(axis=2)
    effects = effects - np.median(effects[:, large], axis=1, keepdims=True)
    own, freedom = effects.var(axis=0, ddof=1), len(family) - 1
    prior = own[large].mean(axis=0) + _RELATIVE_NOISE**2 / 2 * effects.mean(axis=0) ** 2
    moderated = (_PRIOR_FREEDOM * prior + freedom * own) / (_PRIOR_FREEDOM + freedom)
    return np.asarray(np.sqrt(np.maximum(moderated * (1 + 1 / len(family)), np.finfo(float).tiny)))


def _at_large(family: FloatArray, left_out: float) -> FloatArray:
    """What training alone does to the words at large, as the candidate's distance from the mean of the family, per direction."""
    effects = family.mean(axis=2)
    own = np.sort((effects - np.median(effects, axis=1, keepdims=True)).var(axis=0, ddof=1), axis=0)
    kept = own[: max(1, int((1 - left_out) * len(own)))]
    return np.asarray(np.sqrt(kept.mean(axis=0) * (1 + 1 / len(family))))


def _supposed(reference: FloatArray, mean: FloatArray, large: _Selection, left_out: float) -> FloatArray:
    """Without twins: what the words at large did in this very comparison, and a share of what the word did before.

    Words that matter are those that honest retraining moves, in proportion; a planted one mattered to nobody.
    """
    effects = reference.mean(axis=1)
    centred = effects - np.median(effects[large], axis=0)
    return np.asarray(np.hypot(_spread(mean[large], left_out), _RELATIVE_NOISE * centred))


def _spread(values: FloatArray, left_out: float) -> FloatArray:
    """Root mean square over the words, the largest left out.

    The median absolute deviation would see the neutral words only, which hardly move.
    """
    kept = np.sort(np.abs(values), axis=0)[: max(1, int((1 - left_out) * len(values)))]
    return np.asarray(np.maximum(np.sqrt((kept**2).mean(axis=0)), np.finfo(float).tiny))


#: From so many twins on the noise counts as measured: with the reference they make the three pairs that drift asks for.
ENOUGH_TWINS = 2

#: Degrees of freedom of Student's t that z is held against, for each counted context beyond the first. Where the noise of words
#: is measured, or supposed, they fit the honest pairs of two draws of our experiment and of four seeds of a MiniLM; the figures
#: that we report are those of a third draw. For patterns there was no experiment: the conservative choice of Welch's test.
_FREEDOM = {"measured": 6, "supposed": 2, "patterns": 1}

#: Who set a limit that follows from `probe.level` or `probe.warning_level`.
BY_RULE = "calig's rule"

_ABOVE = "above fires"
_SOURCE = "{noise}: Student's t, {freedom} degrees of freedom, nominal level {level:g} over {tests:,} {tested} (Bonferroni)"


@dataclass(frozen=True)
class Hypotheses:
    """What the words of one place are tested on: effects `n_words n_contexts n_directions`, and the noise known from twins.

    n_places: places of the gap that share the level. place: the one that is meant.
    """

    n_words: int
    n_contexts: int
    n_directions: int
    n_twins: int
    n_places: int = 1
    place: WordPlace = "anywhere"

    @property
    def n_tests(self) -> int:
        """Tests that share the level."""
        return self.n_words * self.n_directions * self.n_places


@dataclass(frozen=True)
class Limits:
    """|z| from which a word fires, the most severe first, all only from a shift of `effect` logits on."""

    z: tuple[Threshold, ...]
    effect: Threshold

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """All of them, for the report."""
        return (*self.z, self.effect)

    def severity(self, z: float, shift: float) -> Severity | None:
        """What a word with this z and shift does."""
        if abs(shift) < self.effect.limit:
            return None
        return next((threshold.severity for threshold in self.z if abs(z) >= threshold.limit), None)


def limits_of(
    tested: Hypotheses, config: ProbeConfig, decided_on: str, unit: Unit, typical: float = 1.0, *, regression: bool = False
) -> Limits:
    """The limits in force for what is tested.

    `typical`: the reference's median margin on the rows, logits, of which the least change is a share; of a `regression` the
    typical deviation of its outputs. Patterns fail a version
    only when there are twins.
    """
    rule = _Rule(tested, unit, decided_on)
    warning = rule.threshold(config.z, config.warning_level, Severity.WARNING)
    critical = rule.threshold(config.certain_z, config.level, Severity.CRITICAL)
    of_rows = "typical deviation of the outputs" if regression else "median margin"
    effect = Threshold.configured(
        config,
        "min_effect",
        name=f"|shift| of a {unit}, logits",
        direction=_ABOVE,
        severity=Severity.WARNING,
        source=f"{config.min_effect:g} of the reference's {of_rows} on the rows ({typical:.2f} logits), chosen after 47 "
        "honest retrainings (make bench-drift, draw 20261129): 9 of their 13 alarms were by smaller changes",
        date=decided_on,
    )
    effect = effect.model_copy(update={"limit": float(f"{config.min_effect * typical:.3g}")})
    return Limits((critical, warning) if unit == "word" or tested.n_twins else (warning,), effect)


def chance_limit(level: float, n_tests: int, freedom: float) -> float:
    """|z| that the largest of `n_tests` reaches with probability `level` at most, were nothing at work but noise.

    Each test on both sides (Bonferroni), by Student's t with `freedom` degrees of freedom. The level is nominal: where words
    differ in their noise more than was supposed, they reach the limit more often, see `make bench-calibration`.
    """
    return float(stats.t.isf(level / (2 * n_tests), freedom))


def detectable_shift(limits: Limits, noise: FloatArray) -> float:
    """Shift of a word of median noise, logits, that the most severe limit finds with a chance of 80 %, were the noise normal."""
    typical = float(np.median(noise))
    return detectable(limits.effect.limit, limits.z[0].limit, typical)


def freedom_of(n_contexts: int, n_twins: int, unit: Unit = "word") -> int:
    """Degrees of freedom of the t distribution that z is held against."""
    noise = "patterns" if unit == "pattern" else "measured" if n_twins >= ENOUGH_TWINS else "supposed"
    return _FREEDOM[noise] * (counted(n_contexts) - 1)


@dataclass(frozen=True)
class _Rule:
    """How limits follow from levels, for effects of this shape."""

    tested: Hypotheses
    unit: Unit
    decided_on: str

    def threshold(self, configured: float | None, level: float, severity: Severity) -> Threshold:
        """The configuration's own limit, or the one at `level`."""
        tests, freedom = self.tested.n_tests, freedom_of(self.tested.n_contexts, self.tested.n_twins, self.unit)
        several = f"{self.unit}s, directions and places" if self.tested.n_places > 1 else f"{self.unit}s and directions"
        source = _SOURCE.format(noise=self._noise(), freedom=freedom, level=level, tests=tests, tested=several)
        first = " as the first of a text" if self.tested.place == "beginning" else ""
        return Threshold(
            name=f"|z| of a {self.unit}{first}",
            limit=chance_limit(level, tests, freedom) if configured is None else configured,
            direction=_ABOVE,
            severity=severity,
            source=source if configured is None else "set in the configuration",
            n_null=comb(self.tested.n_twins + 1, 2) or None,
            date=self.decided_on,
            set_by=BY_RULE if configured is None else "the configuration file",
        )

    def _noise(self) -> str:
        n = self.tested.n_twins
        if not n:
            return "training noise not measured for this model"
        return f"training noise measured on the reference and {n} honest retraining{'s' if n > 1 else ''}"
