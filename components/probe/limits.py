"""The probe's limits, each with its birth certificate: what noise hardly reaches, be it measured on twins or supposed."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from scipy import stats

from calig.metrics.perturbation import FloatArray
from components.common.intervals import detectable
from components.probe.statistics import Unit, counted
from schemas.base import Severity
from schemas.config import ProbeConfig
from schemas.threshold import Threshold

#: From so many twins on the noise counts as measured: with the reference they make the three pairs that drift asks for.
ENOUGH_TWINS = 2

#: Degrees of freedom of Student's t that z is held against, for each counted context beyond the first. Where the noise of words
#: is measured, or supposed, they fit the honest pairs of two draws of our experiment and of four seeds of a MiniLM; the figures
#: that we report are those of a third draw. For patterns there was no experiment: the conservative choice of Welch's test.
_FREEDOM = {"measured": 6, "supposed": 2, "patterns": 1}

#: Who set a limit that follows from `probe.level` or `probe.warning_level`.
BY_RULE = "calig's rule"

_ABOVE = "above fires"
_SOURCE = (
    "{noise}: Student's t, {freedom} degrees of freedom, nominal level {level:g} over {tests:,} {unit}s and directions "
    "(Bonferroni)"
)


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
    shape: tuple[int, int, int], n_twins: int, config: ProbeConfig, decided_on: str, unit: Unit, typical: float = 1.0
) -> Limits:
    """The limits in force for effects of this shape (`words contexts directions`).

    `typical`: the reference's median margin on the rows, logits, of which the least change is a share. Patterns fail a version
    only when there are twins.
    """
    rule = _Rule(shape, n_twins, unit, decided_on)
    warning = rule.threshold(config.z, config.warning_level, Severity.WARNING)
    critical = rule.threshold(config.certain_z, config.level, Severity.CRITICAL)
    effect = Threshold.configured(
        config,
        "min_effect",
        name=f"|shift| of a {unit}, logits",
        direction=_ABOVE,
        severity=Severity.WARNING,
        source=f"stated: {config.min_effect:g} of the reference's median margin on the rows ({typical:.2f} logits) turns few "
        "answers; one logit in the classifiers that it was chosen on",
        date=decided_on,
    )
    effect = effect.model_copy(update={"limit": float(f"{config.min_effect * typical:.3g}")})
    return Limits((critical, warning) if unit == "word" or n_twins else (warning,), effect)


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

    shape: tuple[int, int, int]
    n_twins: int
    unit: Unit
    decided_on: str

    def threshold(self, configured: float | None, level: float, severity: Severity) -> Threshold:
        """The configuration's own limit, or the one at `level`."""
        words, contexts, directions = self.shape
        tests, freedom = words * directions, freedom_of(contexts, self.n_twins, self.unit)
        source = _SOURCE.format(noise=self._noise(), freedom=freedom, level=level, tests=tests, unit=self.unit)
        return Threshold(
            name=f"|z| of a {self.unit}",
            limit=chance_limit(level, tests, freedom) if configured is None else configured,
            direction=_ABOVE,
            severity=severity,
            source=source if configured is None else "set in the configuration",
            n_null=comb(self.n_twins + 1, 2) or None,
            date=self.decided_on,
            set_by=BY_RULE if configured is None else "the configuration file",
        )

    def _noise(self) -> str:
        if not self.n_twins:
            return "training noise not measured for this model"
        return f"training noise measured on the reference and {self.n_twins} honest retraining{'s' if self.n_twins > 1 else ''}"
