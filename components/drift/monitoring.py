"""From two windows of data under one model to a MonitorReport: do the validated reasons hold on what comes in?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from components.drift.windows import (
    Answered,
    WindowRows,
    mix_shift,
    number_shift,
    read_window,
    typical_decision,
    unseen_words,
    window_shifts,
)
from components.table.rows import count_rows, read_rows
from schemas.base import CheckVerdict, Severity, Threshold
from schemas.config import MonitorConfig
from schemas.drift import MixShift, MonitorReport, UnseenWords, Window, WindowShift
from schemas.reference import ReferenceProfile

_LISTED_WORDS = 30
_PRIOR = "stated prior: windows of harmless traffic have not been measured for this model; the limit of the paired word shift"
_CHOICE = (
    "stated prior: a choice, not measured; with more than this on words never seen, the earlier evidence does not cover the data"
)


def monitor(
    before: ReferenceProfile, now: ReferenceProfile, *, names: tuple[str, str], config: MonitorConfig, decided_on: str
) -> MonitorReport:
    """Compare two explanations by one model on different rows, unpaired.

    Args:
        before, now: the explanation held against, and the later one; weights, method and classes must be equal.
        names: of the two data sets.
        config: limits and minimum counts.
        decided_on: ISO date written into the limits' birth certificates.
    """
    obstacle = _obstacle(before, now)
    if obstacle is not None:
        return cannot_monitor(now, obstacle, "explain the earlier rows again with this version and configuration")
    read = [read_window(read_rows(profile.tables)) for profile in (before, now)]
    made, answers = (read[0][0], read[1][0]), (read[0][1], read[1][1])
    windows = [_window(name, p.dataset_digest, *one) for name, p, one in zip(names, (before, now), read, strict=True)]
    short = _shortfall([len(window) for window in made], [count_rows(profile.tables) for profile in (before, now)], config)
    report = _compared(now, made, answers, config) if short is None else cannot_monitor(now, *short)
    return report.model_copy(
        update={"before": windows[0], "now": windows[1], "thresholds": tuple(_thresholds(config, decided_on))}
    )


def _obstacle(before: ReferenceProfile, now: ReferenceProfile) -> str | None:
    if before.identity.weights_digest != now.identity.weights_digest:
        return "the windows were explained under two models (the weights' digests differ): compare versions with calig explain"
    if before.identity.method_fingerprint != now.identity.method_fingerprint:
        return "the windows were explained with other attribution settings (the method fingerprints differ)"
    if before.dataset_digest == now.dataset_digest:
        return "both windows are the same rows (the data digests are equal)"
    return None


def _shortfall(counts: Sequence[int], totals: Sequence[int], config: MonitorConfig) -> tuple[str, str] | None:
    """Why too few rows can be compared, and what to do, if so: rows that nobody could judge must not pass with the others."""
    if min(counts) < config.min_rows:
        reason = f"{counts[0]} and {counts[1]} rows have attributions; {config.min_rows} are needed in each window"
        return reason, "gather more rows"
    shares = [n / total for n, total in zip(counts, totals, strict=True)]
    if min(shares) < config.min_coverage:
        reason = f"only {shares[0]:.0%} and {shares[1]:.0%} of the rows have attributions; {config.min_coverage:.0%} are needed"
        return reason, "look at the rows that could not be explained, or lower monitor.min_coverage"
    return None


def _compared(
    now: ReferenceProfile,
    made: tuple[WindowRows, WindowRows],
    answers: tuple[Answered, Answered],
    config: MonitorConfig,
) -> MonitorReport:
    shifts, unseen = window_shifts(made[0], made[1], config), unseen_words(made[0], made[1], config)
    mixes = _mixes(*answers, config)
    firing = [s for s in shifts if s.fires]
    failed = bool(firing) or unseen.fires
    if not (failed or shifts):
        reason = f"no word occurs in {config.min_occurrences} rows of both windows: nothing could be tested"
        return cannot_monitor(now, reason, "gather more rows, or lower monitor.min_occurrences")
    return MonitorReport(
        verdict=CheckVerdict.FAIL if failed else CheckVerdict.PASS,
        reason=_reason(firing, shifts, unseen, mixes),
        model=now.identity,
        typical_decision=typical_decision(made[0]),
        words_tested=len(shifts),
        word_shifts=tuple(shifts[:_LISTED_WORDS]),
        unseen=unseen,
        mixes=tuple(mixes),
        next_step=_next_step(firing, unseen) if failed else "",
    )


def _mixes(before: Answered, now: Answered, config: MonitorConfig) -> list[MixShift]:
    """Of predictions and gold answers, where both windows have some: of a regression's numbers, else of classes."""
    if before.regression:
        numbers = (("predictions", before.outputs, now.outputs), ("gold numbers", before.gold_numbers, now.gold_numbers))
        return [number_shift(name, earlier, later, config) for name, earlier, later in numbers if earlier and later]
    classes = (("predicted classes", before.predicted, now.predicted), ("gold classes", before.gold, now.gold))
    return [mix_shift(name, earlier, later, config) for name, earlier, later in classes if earlier and later]


def _reason(firing: Sequence[WindowShift], shifts: Sequence[WindowShift], unseen: UnseenWords, mixes: Sequence[MixShift]) -> str:
    warned = "".join(f"; another mix of {m.name} (distance {m.distance:.2f})" for m in mixes if m.fires)
    if firing:
        s = firing[0]
        more = f", and {len(firing) - 1} more" if len(firing) > 1 else ""
        return (
            f"the word “{s.word}” adds {s.effect_now:+.2f} of a typical decision toward {s.toward} in the later window "
            f"(before: {s.effect_before:+.2f}; z = {s.z:.1f}){more}{warned}"
        )
    if unseen.fires:
        return f"{unseen.mass:.0%} of the attribution lies on words that the earlier window does not contain{warned}"
    largest = f"; the largest is “{shifts[0].word}” ({shifts[0].effect:+.2f}, z = {shifts[0].z:.1f})" if shifts else ""
    return f"no word's effect changed beyond the limits{largest}{warned}"


def _next_step(firing: Sequence[WindowShift], unseen: UnseenWords) -> str:
    if firing:
        words = ", ".join(f"“{s.word}”" for s in firing[:3])
        return f"look at rows with {words} in both windows: does the word mean something else there, or stand beside other words?"
    words = ", ".join(f"“{word}”" for word, _, _ in unseen.heaviest[:3])
    return f"add rows with {words} to the validation set and explain the version on it again"


def _window(name: str, digest: str, made: WindowRows, answered: Answered) -> Window:
    return Window(
        name=name,
        digest=digest,
        n_rows=answered.n,
        n_zero=answered.n - len(made),
        predictions={} if answered.regression else _mix(answered.predicted),
        labels=_mix(answered.gold),
    )


def _mix(classes: Counter[str]) -> dict[str, float]:
    return {name: n / classes.total() for name, n in sorted(classes.items())}


def cannot_monitor(now: ReferenceProfile, reason: str, next_step: str) -> MonitorReport:
    """The windows cannot be compared: inconclusive, never a pass."""
    return MonitorReport(verdict=CheckVerdict.INCONCLUSIVE, reason=reason, model=now.identity, next_step=next_step)


def _thresholds(config: MonitorConfig, decided_on: str) -> list[Threshold]:
    rows = (
        ("word_shift", "|word shift|", "above fires", Severity.CRITICAL, _PRIOR),
        ("word_shift_z", "|z| of the word shift", "above fires", Severity.CRITICAL, _PRIOR),
        ("false_discovery_rate", "q of the word shift", "below fires", Severity.CRITICAL, "convention"),
        ("unseen_mass", "attribution on unseen words", "above fires", Severity.CRITICAL, _CHOICE),
        ("mix", "distance of the mixes of answers", "above fires", Severity.WARNING, "stated prior: a choice, not measured"),
    )
    return [
        Threshold.configured(config, setting, name=name, direction=direction, severity=severity, source=source, date=decided_on)
        for setting, name, direction, severity, source in rows
    ]
