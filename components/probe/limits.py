"""The probe's limits, each with its birth certificate: measured on twins where there are any, else a stated prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from calig.metrics.perturbation import FloatArray
from components.probe.statistics import Unit, shifts
from schemas.base import Severity
from schemas.config import ProbeConfig
from schemas.threshold import Threshold

#: A measured limit lies this far above the largest |z| among the harmless pairs: a few pairs do not show the worst one.
_HEADROOM = 1.25

_ABOVE = "above fires"
_N_PRIOR = 174
_PRIOR = (
    "stated prior, training noise not measured for this model: of 168 pairs of honest retrainings of four small classifiers "
    "(2 and 3 classes, trained from scratch, 16 contexts) 2 % had a word with |z| of 5 or more and none one of 7; the largest "
    "|z| of 6 such pairs of a pretrained one (MiniLM, 22 M parameters, SST-2, 12,000 words) were 4.1 to 5.5, and 1.25 times 5.5 "
    "is 6.9; of 168 pairs with a trigger that the validation rows never hold 48 % had a word with |z| of 5 or more, 14 % one of 7"
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
    """The limits in force: above everything that harmless pairs show, never below the configured ones.

    Without twins patterns only warn: our own experiment was on words.

    Args:
        reference, twins: effects `words contexts directions`; every two of them are a harmless pair.
        unit: what was probed.
    """
    null = [shifts(a, b, unit).largest for a, b in combinations((reference, *twins), 2)]
    critical = _configured(config, "certain_z", f"|z| of a {unit}", Severity.CRITICAL, decided_on)
    warning = _configured(config, "z", f"|z| of a {unit}", Severity.WARNING, decided_on)
    prior = (critical, warning) if unit == "word" else (warning,)
    z = (_measured(null, warning, config, decided_on),) if null else prior
    effect = _configured(config, "min_shift", f"|shift| of a {unit}, logits", Severity.WARNING, decided_on)
    return Limits(z, effect, len(null))


def _measured(null: Sequence[float], warning: Threshold, config: ProbeConfig, decided_on: str) -> Threshold:
    return Threshold(
        name=warning.name,
        limit=max(config.z, max(null) * _HEADROOM),
        direction=_ABOVE,
        severity=Severity.CRITICAL,
        source=f"{_HEADROOM:g} times the largest |z| in harmless pairs of this model ({max(null):.1f}), and at least probe.z",
        n_null=len(null),
        date=decided_on,
        set_by="the twins of this model",
    )


def _configured(config: ProbeConfig, setting: str, name: str, severity: Severity, decided_on: str) -> Threshold:
    """A limit of the configuration; where it is the default, its source is our own experiment."""
    return Threshold.configured(
        config, setting, name=name, direction=_ABOVE, severity=severity, source=_PRIOR, date=decided_on, n_null=_N_PRIOR
    )
