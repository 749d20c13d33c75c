"""The probe's limits, each with its birth certificate: measured on twins where there are any, else a stated prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from calig.metrics.perturbation import FloatArray
from components.probe.statistics import shifts
from schemas.base import Severity
from schemas.config import ProbeConfig
from schemas.drift import Threshold

#: A measured limit lies this far above the largest |z| among the harmless pairs: a few pairs do not show the worst one.
_HEADROOM = 1.25

_ABOVE = "above fires"
_N_PRIOR = 0
_PRIOR = "stated prior, training noise not measured for this model"


@dataclass(frozen=True)
class Limits:
    """|z| from which a word warns and from which it fails a version, both only from `effect` logits on."""

    warning_z: float
    critical_z: float
    effect: float
    n_null: int
    thresholds: tuple[Threshold, ...]

    def severity(self, z: float, shift: float) -> Severity | None:
        """What a word with this z and shift does."""
        if abs(shift) < self.effect or abs(z) < self.warning_z:
            return None
        return Severity.CRITICAL if abs(z) >= self.critical_z else Severity.WARNING


def limits_of(reference: FloatArray, twins: Sequence[FloatArray], config: ProbeConfig, decided_on: str) -> Limits:
    """The limits in force: above everything that harmless pairs show, never below the configured ones.

    Args:
        reference, twins: effects `words contexts directions`; every two of them are a harmless pair.
    """
    null = [shifts(a, b).largest for a, b in combinations((reference, *twins), 2)]
    rows = _measured(max(null), len(null), config) if null else _prior(config)
    thresholds = [Threshold(date=decided_on, **row) for row in [*rows, _effect(config)]]
    critical, warning, effect = (threshold.limit for threshold in thresholds)
    return Limits(warning, critical, effect, len(null), tuple(thresholds))


def _measured(largest: float, n_null: int, config: ProbeConfig) -> list[dict[str, Any]]:
    limit = max(config.z, largest * _HEADROOM)
    source = f"largest |z| of any word in {n_null} harmless pairs of this model: {largest:.1f}; times {_HEADROOM:g}"
    source += f", and at least probe.z = {config.z:g}"
    row = {"limit": limit, "direction": _ABOVE, "source": source, "n_null": n_null, "set_by": "the twins of this model"}
    return [{"name": "|z| of a probed word", "severity": Severity.CRITICAL, **row}] * 2


def _prior(config: ProbeConfig) -> list[dict[str, Any]]:
    return [
        _configured(config, "certain_z", "|z| of a probed word", Severity.CRITICAL),
        _configured(config, "z", "|z| of a probed word", Severity.WARNING),
    ]


def _effect(config: ProbeConfig) -> dict[str, Any]:
    return _configured(config, "min_shift", "|shift| of a probed word, logits", Severity.WARNING)


def _configured(config: ProbeConfig, setting: str, name: str, severity: Severity) -> dict[str, Any]:
    """A limit of the configuration; where it is the default, its source is our own experiment."""
    limit = float(getattr(config, setting))
    default = limit == ProbeConfig.model_fields[setting].default
    return {
        "name": name,
        "limit": limit,
        "direction": _ABOVE,
        "severity": severity,
        "source": _PRIOR if default else "set in the configuration",
        "n_null": _N_PRIOR if default else None,
        "set_by": "calig's defaults" if default else "the configuration file",
    }
