"""The thresholds of drift, each with its birth certificate: no limit without a stated source."""

from __future__ import annotations

from schemas.base import Severity
from schemas.config import DriftConfig
from schemas.drift import Threshold

_PRIOR = (
    "stated prior, training noise not measured for this model: in 21 pairs of honest retrainings (3 of a 6-layer MiniLM on "
    "SST-2, 18 of the demo's classifier trained from scratch) no word was beyond all three limits (largest |z| 6.8, at 6 "
    "occurrences, share 0.27); in 21 pairs with a planted shortcut the planted word was (share 0.48 … 0.8, |z| 13 … 20)"
)
_PRIOR_DIFFUSE = (
    "stated prior, training noise not measured for this model: reseeded pairs of that recipe agree at Spearman 0.85 … 0.87 "
    "and flip the sign of 0.03 … 0.04 of the mass; a planted shortcut gives 0.71 … 0.79 and 0.05 … 0.14"
)
_CONFIGURED = "set in the configuration"
_CONVENTION = "convention: expected share of false alarms among the words that fire"


def thresholds(config: DriftConfig, decided_on: str) -> list[Threshold]:
    """All limits in force; those that differ from the default are attributed to the configuration."""
    rows = (
        ("word_shift", "|word shift|", "above fires", Severity.CRITICAL, _PRIOR, 21),
        ("word_shift_z", "|z| of the word shift", "above fires", Severity.CRITICAL, _PRIOR, 21),
        ("false_discovery_rate", "q of the word shift", "below fires", Severity.CRITICAL, _CONVENTION, None),
        ("rank_agreement", "rank agreement", "below fires", Severity.WARNING, _PRIOR_DIFFUSE, 3),
        ("sign_flip", "sign-flip rate", "above fires", Severity.WARNING, _PRIOR_DIFFUSE, 3),
    )
    return [_threshold(config, decided_on, *row) for row in rows]


def _threshold(
    config: DriftConfig, decided_on: str, setting: str, name: str, direction: str, severity: Severity, source: str, n: int | None
) -> Threshold:
    limit = float(getattr(config, setting))
    default = limit == DriftConfig.model_fields[setting].default
    return Threshold(
        name=name,
        limit=limit,
        direction=direction,
        severity=severity,
        source=source if default else _CONFIGURED,
        n_null=n if default else None,
        date=decided_on,
        set_by="calig's defaults" if default else "the configuration file",
    )
