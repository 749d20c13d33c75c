"""The thresholds of drift, each with its birth certificate: no limit without a stated source."""

from __future__ import annotations

from collections.abc import Sequence

from components.drift.noise import upper
from schemas.base import Severity
from schemas.config import DriftConfig
from schemas.drift import Noise
from schemas.threshold import Threshold

_PRIOR = (
    "stated prior, training noise not measured for this model: chosen on shares of the attribution (21 honest and 21 planted "
    "pairs), kept for effects after 28 pairs of small classifiers trained from scratch (two data sets with 90 rows, the demo "
    "with 300): in none of 13 honest retrainings was a word beyond both limits (the closest: effect 0.42, |z| 4.2); of 15 with a "
    "planted change 12 had such a word (effect 0.32 … 1.37, |z| 6.2 … 30), two with a word in 10 % of a class and one with "
    "poisoned labels had not. Looked at, not calibrated: there was no fresh draw"
)
#: Honest pairs among them.
_N_PRIOR = 13
_PRIOR_DIFFUSE = (
    "stated prior, training noise not measured for this model: reseeded pairs of that recipe agree at Spearman 0.85 … 0.87 "
    "and flip the sign of 0.03 … 0.04 of the mass; a planted shortcut gives 0.71 … 0.79 and 0.05 … 0.14"
)
_CONVENTION = "convention: expected share of false alarms among the words that fire"


def judged_by(config: DriftConfig, noise: Noise) -> DriftConfig:
    """The limits in force: the configured minimum effects, raised to the noise where noise was measured, never lowered.

    No limit is raised by more than `noise_cap`: who could choose what the noise is measured on could else hide any change.
    """
    agreement, flips = _diffuse(noise)
    cap, least = config.noise_cap, 1 - config.rank_agreement
    disagreement = upper([1 - v for v in agreement]) if agreement else 0.0
    limits = {
        "word_shift": min(max(config.word_shift * noise.factor, numerics_floor(noise)), cap * config.word_shift),
        "word_shift_z": config.word_shift_z * noise.factor,
        "rank_agreement": config.rank_agreement if disagreement <= least else max(-1.0, 1 - min(disagreement, cap * least)),
        "sign_flip": min(1.0, max([config.sign_flip, *([upper(flips)] if flips else [])]), cap * config.sign_flip),
    }
    return config.model_copy(update=limits)


def numerics_floor(noise: Noise) -> float:
    """A word's shift compares two versions, so that twice the numbers' largest error is what a limit has to be above."""
    return 2 * (noise.numerics or 0.0)


def thresholds(config: DriftConfig, judged: DriftConfig, noise: Noise, decided_on: str) -> list[Threshold]:
    """All limits in force, each with what it was measured on, or who set it."""
    rows = (
        ("word_shift", "|word shift|", "above fires", Severity.CRITICAL, _PRIOR, _N_PRIOR),
        ("word_shift_z", "|z| of the word shift", "above fires", Severity.CRITICAL, _PRIOR, _N_PRIOR),
        ("false_discovery_rate", "q of the word shift", "below fires", Severity.CRITICAL, _CONVENTION, None),
        ("rank_agreement", "rank agreement", "below fires", Severity.WARNING, _PRIOR_DIFFUSE, 3),
        ("sign_flip", "sign-flip rate", "above fires", Severity.WARNING, _PRIOR_DIFFUSE, 3),
    )
    return [_threshold(config, judged, noise, decided_on, row) for row in rows]


_Row = tuple[str, str, str, Severity, str, int | None]


def _threshold(config: DriftConfig, judged: DriftConfig, noise: Noise, decided_on: str, row: _Row) -> Threshold:
    setting, name, direction, severity, prior, n = row
    minimum = Threshold.configured(
        config, setting, name=name, direction=direction, severity=severity, source=prior, date=decided_on, n_null=n
    )
    measured, limit = _measured(setting, config, judged, noise), float(getattr(judged, setting))
    if measured is None:
        return minimum
    set_by = "the measured noise" if limit != minimum.limit else f"{minimum.set_by}, held against the measured noise"
    facts = {"limit": limit, "source": measured, "n_null": len(noise.pairs), "set_by": set_by}
    return minimum.model_copy(update=facts)


def _measured(setting: str, config: DriftConfig, judged: DriftConfig, noise: Noise) -> str | None:
    """What the noise floor says about a limit; None where it was not measured."""
    numerics = _numerics(noise) if setting == "word_shift" and judged.word_shift > config.word_shift * noise.factor else ""
    if setting == "false_discovery_rate" or not (noise.pairs or numerics):
        return None
    agreement, flips = _diffuse(noise)
    said = {
        "rank_agreement": ("lowest", agreement, "{:.3f}"),
        "sign_flip": ("largest", flips, "{:.3f}"),
    }.get(setting, ("closest to firing", [pair.excess for pair in noise.pairs], "{:.2f} × the minimum effect"))
    least = f"minimum effect {getattr(config, setting):g}"
    return f"{_whom(noise)}: {_extreme(*said)}; {least}{numerics}{_capped(setting, config, noise)}"


def _capped(setting: str, config: DriftConfig, noise: Noise) -> str:
    """What is said where the cap acted."""
    agreement, flips = _diffuse(noise)
    values = {"rank_agreement": [1 - v for v in agreement], "sign_flip": flips}.get(setting)
    least = {"rank_agreement": 1 - config.rank_agreement, "sign_flip": config.sign_flip}.get(setting, 0.0)
    acted = noise.uncapped is not None if values is None else bool(values) and upper(values) > config.noise_cap * least
    if not acted:
        return ""
    wanted = f", {noise.uncapped:.2f} was measured" if values is None else ""
    return f"; raised by no more than {config.noise_cap:g} (drift.noise_cap){wanted}"


def _extreme(which: str, values: Sequence[float], form: str) -> str:
    if not values:
        return "not measured"
    if which == "lowest":
        value, percentile = min(values), max(-1.0, 1 - upper([1 - v for v in values]))
        return f"{which} {form.format(value)}, 1st percentile {percentile:.3f}"
    return f"{which} {form.format(max(values))}, 99th percentile {upper(values):.2f}"


def _whom(noise: Noise) -> str:
    versions = ", ".join(dict.fromkeys(name for pair in noise.pairs for name in (pair.reference, pair.candidate)))
    kinds = {
        "twins": f"the reference and its reseeded twins (versions {versions}), all pairs",
        "history": f"consecutive accepted versions ({versions})",
        "prior": "training noise not measured for this model",
    }
    return kinds[noise.retraining]


def _numerics(noise: Noise) -> str:
    return f"; raised to twice the error of the numbers ({noise.numerics:.3f}, measured on {noise.numerics_rows} rows)"


def _diffuse(noise: Noise) -> tuple[list[float], list[float]]:
    agreement = [pair.rank_agreement for pair in noise.pairs if pair.rank_agreement is not None]
    return agreement, [pair.sign_flip for pair in noise.pairs if pair.sign_flip is not None]
