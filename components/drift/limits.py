"""Limits of drift, each with its birth certificate: no limit without a stated source."""

from __future__ import annotations

from components.drift.noise import upper
from components.drift.statistics.registry import DriftStatistic, NoiseRange, judged
from schemas.base import Direction, Severity, Threshold
from schemas.config import DriftConfig
from schemas.drift import Noise

_PRIOR = (
    "stated prior, training noise not measured for this model: chosen on shares of the attribution (21 honest and 21 planted "
    "pairs), kept for effects after 28 pairs of small classifiers trained from scratch (two data sets with 90 rows, the demo "
    "with 300): in none of 13 honest retrainings was a word beyond both limits (the closest: effect 0.42, |z| 4.2); of 15 with a "
    "planted change 12 had such a word (effect 0.32 … 1.37, |z| 6.2 … 30), two with a word in 10 % of a class and one with "
    "poisoned labels had not. Looked at, not calibrated: there was no fresh draw"
)
#: Honest pairs among them.
_N_PRIOR = 13
_WARNING = (
    "a choice, looked at on the draw of the drift experiment and on no fresh one: where neither drift nor probe failed, with no "
    "noise measured, 2 of 99 honest retrainings warn and 8 of 33 planted changes (deploy/docs/measures.md)"
)
_N_WARNING = 99
_CONVENTION = (
    "convention: expected share of false alarms among the words and phrases that fire; half of drift.false_discovery_rate, which "
    "is the level of the whole family"
)
_CONVENTION_SETS = "convention: chance that any set fires by noise; the other half of drift.false_discovery_rate"
_CHOICE_SETS = (
    "a choice, held against simulated words only (tests/components/drift/test_set_shift.py): honest retrainings of real models "
    "have not been measured"
)


def judged_by(config: DriftConfig, noise: Noise) -> DriftConfig:
    """The limits in force: the configured minimum effects, raised to the noise where noise was measured, never lowered.

    Words with phrases, and sets, are two families: each has half of the level.

    No limit is raised by more than `noise_cap`: who could choose what the noise is measured on could else hide any change.
    """
    cap = config.noise_cap
    limits = {
        "word_shift": min(max(config.word_shift * noise.factor, numerics_floor(noise)), cap * config.word_shift),
        "word_shift_z": config.word_shift_z * noise.factor,
        "warning_shift": config.warning_shift * noise.factor,
        "warning_shift_z": config.warning_shift_z * noise.factor,
        "false_discovery_rate": config.false_discovery_rate / 2,
        **{limit.setting: _raised(one.noise, limit.setting, config, noise) for one, limit in judged() if one.noise is not None},
    }
    return config.model_copy(update=limits)


def _raised(span: NoiseRange, setting: str, config: DriftConfig, noise: Noise) -> float:
    """The limit of a diffuse statistic: as far from its best value as the noise is, within the cap."""
    limit, distances = float(getattr(config, setting)), _distances(span, setting, noise)
    least = abs(limit - span.best)
    if not distances or upper(distances) <= least:
        return limit
    raised = min(upper(distances), config.noise_cap * least, abs(span.worst - span.best))
    return span.best - raised if span.worst < span.best else span.best + raised


def _distances(span: NoiseRange, setting: str, noise: Noise) -> list[float]:
    """How far each honest pair lies from the statistic's best value."""
    means = [pair.mean(setting) for pair in noise.pairs]
    return [abs(mean - span.best) for mean in means if mean is not None]


def numerics_floor(noise: Noise) -> float:
    """A word's shift compares two versions, so that twice the numbers' largest error is what a limit has to be above."""
    return 2 * (noise.numerics or 0.0)


def thresholds(config: DriftConfig, in_force: DriftConfig, noise: Noise, decided_on: str) -> list[Threshold]:
    """All limits in force, each with what it was measured on, or who set it."""
    critical = Severity.CRITICAL
    rows: list[_Row] = [
        ("word_shift", "|word shift|", "above fires", critical, _PRIOR, _N_PRIOR),
        ("word_shift_z", "|z| of the word shift", "above fires", critical, _PRIOR, _N_PRIOR),
        ("false_discovery_rate", "q of the word shift", "below fires", critical, _CONVENTION, None),
        ("set_shift", "|set shift|", "above fires", critical, _CHOICE_SETS, None),
        ("false_discovery_rate", "p of the set shift", "below fires", critical, _CONVENTION_SETS, None),
        ("warning_shift", "|word shift| of a warning", "above fires", Severity.WARNING, _WARNING, _N_WARNING),
        ("warning_shift_z", "|z| of a warning", "above fires", Severity.WARNING, _WARNING, _N_WARNING),
        ("warning_discovery_rate", "q of a warning", "below fires", Severity.WARNING, _WARNING, _N_WARNING),
    ]
    rows += [(limit.setting, one.name, _fires(one), Severity.WARNING, limit.prior, limit.n_prior) for one, limit in judged()]
    return [_threshold(config, in_force, noise, decided_on, row) for row in rows]


def _fires(statistic: DriftStatistic) -> str:
    return "below fires" if statistic.direction is Direction.HIGHER else "above fires"


_Row = tuple[str, str, str, Severity, str, int | None]


def _threshold(config: DriftConfig, in_force: DriftConfig, noise: Noise, decided_on: str, row: _Row) -> Threshold:
    setting, name, direction, severity, prior, n = row
    minimum = Threshold.configured(
        config, setting, name=name, direction=direction, severity=severity, source=prior, date=decided_on, n_null=n
    )
    measured, limit = _measured(setting, config, in_force, noise), float(getattr(in_force, setting))
    if measured is None:
        return minimum.model_copy(update={"limit": limit})
    set_by = "the measured noise" if limit != minimum.limit else f"{minimum.set_by}, held against the measured noise"
    facts = {"limit": limit, "source": measured, "n_null": len(noise.pairs), "set_by": set_by}
    return minimum.model_copy(update=facts)


def _measured(setting: str, config: DriftConfig, in_force: DriftConfig, noise: Noise) -> str | None:
    """What the noise floor says about a limit; None where it was not measured."""
    numerics = _numerics(noise) if setting == "word_shift" and in_force.word_shift > config.word_shift * noise.factor else ""
    if not (noise.pairs or numerics):
        return None
    said = _said_of_words(config, noise) if setting in _OF_WORDS else _said_of_means(setting, config, noise)
    if said is None:
        return None
    seen, capped = said
    return f"{_whom(noise)}: {seen}; minimum effect {getattr(config, setting):g}{numerics}{capped}"


#: Limits that the honest pairs' closest word speaks of.
_OF_WORDS = ("word_shift", "word_shift_z", "warning_shift", "warning_shift_z")


def _said_of_words(config: DriftConfig, noise: Noise) -> tuple[str, str]:
    """How close to firing the honest pairs came, and what is said where the cap acted."""
    factors = [pair.excess for pair in noise.pairs]
    seen = "not measured"
    if factors:
        seen = f"closest to firing {max(factors):.2f} × the minimum effect, 99th percentile {upper(factors):.2f}"
    return seen, "" if noise.uncapped is None else f"{_capped(config)}, {noise.uncapped:.2f} was measured"


def _said_of_means(setting: str, config: DriftConfig, noise: Noise) -> tuple[str, str] | None:
    """The same of a diffuse statistic's means; None for a limit that noise does not raise."""
    span = next((one.noise for one, limit in judged() if limit.setting == setting), None)
    if span is None:
        return None
    distances = _distances(span, setting, noise)
    if not distances:
        return "not measured", ""
    sign = 1.0 if span.worst > span.best else -1.0
    value = span.best + sign * max(distances)
    bound = span.best + sign * upper(distances)
    seen = f"largest {value:.3f}, 99th percentile {bound:.2f}"
    if sign < 0:
        seen = f"lowest {value:.3f}, 1st percentile {max(span.worst, bound):.3f}"
    acted = upper(distances) > config.noise_cap * abs(getattr(config, setting) - span.best)
    return seen, _capped(config) if acted else ""


def _capped(config: DriftConfig) -> str:
    return f"; raised by no more than {config.noise_cap:g} (drift.noise_cap)"


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
