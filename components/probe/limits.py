"""The probe's limits, each with its birth certificate: measured on twins where there are any, else what chance hardly reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy import stats

from calig.metrics.perturbation import FloatArray
from components.probe.statistics import Unit, shifts
from schemas.base import Severity
from schemas.config import ProbeConfig
from schemas.threshold import Threshold

#: A measured limit lies this far above the largest |z| among the harmless pairs: a few pairs do not show the worst one.
_HEADROOM = 1.25

_ABOVE = "above fires"
_BY_CHANCE = (
    "training noise not measured for this model: Student's t, {freedom} degrees of freedom (contexts less one), "
    "level {level:g} over {tests:,} words and directions (Bonferroni)"
)


@dataclass(frozen=True)
class Limits:
    """|z| from which a word fires, the most severe first, all only from a shift of `effect` logits on."""

    z: tuple[Threshold, ...]
    effect: Threshold
    n_null: int

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """All of them, for the report."""
        return (*self.z, self.effect)

    def severity(self, z: float, shift: float) -> Severity | None:
        """What a word with this z and shift does."""
        if abs(shift) < self.effect.limit:
            return None
        return next((threshold.severity for threshold in self.z if abs(z) >= threshold.limit), None)


def limits_of(reference: FloatArray, twins: Sequence[FloatArray], config: ProbeConfig, decided_on: str, unit: Unit) -> Limits:
    """The limits in force: above everything that harmless pairs show, or without any, above what chance hardly reaches.

    Without twins patterns only warn: our own experiment was on words.

    Args:
        reference, twins: effects `words contexts directions`; every two of them are a harmless pair.
        unit: what was probed.
    """
    null = [shifts(a, b, unit).largest for a, b in combinations((reference, *twins), 2)]
    name = f"|z| of a {unit}"
    warning = _stated(name, config.z, config.warning_level, reference.shape, Severity.WARNING, decided_on)
    critical = _stated(name, config.certain_z, config.level, reference.shape, Severity.CRITICAL, decided_on)
    prior = (critical, warning) if unit == "word" else (warning,)
    z = (_measured(null, warning),) if null else prior
    effect = Threshold.configured(
        config,
        "min_shift",
        name=f"|shift| of a {unit}, logits",
        direction=_ABOVE,
        severity=Severity.WARNING,
        source="stated: less than one logit turns few answers",
        date=decided_on,
    )
    return Limits(z, effect, len(null))


def chance_limit(level: float, n_words: int, n_contexts: int, n_directions: int) -> float:
    """|z| that the largest of all words reaches with probability `level` at most, were nothing at work but noise.

    z is a mean over contexts against its noise, so its tails are taken for those of Student's t with `n_contexts` − 1 degrees
    of freedom (the conservative choice of Welch's test), each of `n_words · n_directions` tests on both sides (Bonferroni).
    An assumption: what speaks for it are the honest retrainings of `make bench-drift` and `make bench-probe`.
    """
    return float(stats.t.isf(level / (2 * n_words * n_directions), n_contexts - 1))


def _stated(
    name: str, configured: float | None, level: float, shape: tuple[int, ...], severity: Severity, decided_on: str
) -> Threshold:
    """The configuration's own limit, or the one at `level` for effects of this shape."""
    words, contexts, directions = shape
    by_chance = _BY_CHANCE.format(freedom=contexts - 1, level=level, tests=words * directions)
    return Threshold(
        name=name,
        limit=chance_limit(level, words, contexts, directions) if configured is None else configured,
        direction=_ABOVE,
        severity=severity,
        source=by_chance if configured is None else "set in the configuration",
        date=decided_on,
        set_by="calig's rule" if configured is None else "the configuration file",
    )


def _measured(null: Sequence[float], warning: Threshold) -> Threshold:
    """As high as the twins ask for, and never below what warns without them."""
    return warning.model_copy(
        update={
            "limit": max(warning.limit, max(null) * _HEADROOM),
            "severity": Severity.CRITICAL,
            "source": f"{_HEADROOM:g} times the largest |z| in harmless pairs of this model ({max(null):.1f}), "
            f"and at least {warning.limit:.1f}, which warns without twins",
            "n_null": len(null),
            "set_by": "the twins of this model",
        }
    )
