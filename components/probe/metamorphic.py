"""The metamorphic probe: does the same change of the rows change the answers under the candidate as under the reference?

Per transformation T, with t a version's typical decision (its median margin on the rows; of a regression, for all versions the
typical deviation of the reference's outputs) and f what is explained,

    δ_row = [f_c(T x) − f_c(x)] / t_c  −  mean over the reference and its twins of [f(T x) − f(x)] / t

A transformation is tested toward each class (of two that exclude each other toward the second one), which shows a form of text
that became evidence; toward the reference's answer, which shows support that was lost whatever the class; and toward either side,
|f(T x) − f(x)| in place of the difference, which shows answers that hang on something new, for or against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy import special

from calig.metrics.perturbation import FloatArray
from components.common.intervals import detectable
from components.common.outputs import MOVED
from components.probe.effects import typical_margin
from components.probe.paired_effects import PairedShift, paired_shifts
from components.probe.statistics import BY_RULE, chance_limit
from components.probe.transformations import Transformation
from schemas.base import CheckVerdict, Severity, Threshold
from schemas.config import ProbeConfig, TransformationName
from schemas.probe import MetamorphicReport, ProbeReport, TransformedRows

#: Share of `probe.level` and `probe.warning_level` that the transformations have together; the words have the rest, so that
#: noise fails a version with at most `probe.level` over both. Words are many: a fifth less raises their limit by 1 to 4 %.
_SHARE = 0.2

_ANSWER = "the reference's answer"
_EITHER = "either side"

_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, None: 2}
_GRAVEST = [CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE, CheckVerdict.PASS, CheckVerdict.NOT_APPLICABLE]


@dataclass(frozen=True)
class TransformedTexts:
    """Rows, and what each transformation makes of those that it applies to: number of the row → text."""

    rows: tuple[str, ...]
    changed: Mapping[TransformationName, Mapping[int, str]]

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """All different texts: what has to be scored."""
        return tuple(dict.fromkeys([*self.rows, *(text for texts in self.changed.values() for text in texts.values())]))

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each text stands among `texts`."""
        return {text: place for place, text in enumerate(self.texts)}


def transformed(rows: Sequence[str], by: Mapping[TransformationName, Transformation]) -> TransformedTexts:
    """Every row under every transformation that applies to it."""
    tried = {name: {at: change(row) for at, row in enumerate(rows)} for name, change in by.items()}
    changed = {name: {at: text for at, text in texts.items() if text is not None} for name, texts in tried.items()}
    return TransformedTexts(tuple(rows), changed)


def shared_levels(config: ProbeConfig) -> tuple[ProbeConfig, ProbeConfig]:
    """The settings with the levels that the words have, and with those of the transformations (Bonferroni)."""
    share = _SHARE if config.transformations else 0.0
    words, rows = (
        config.model_copy(update={"level": part * config.level, "warning_level": part * config.warning_level})
        for part in (1.0 - share, share)
    )
    return words, rows


@dataclass(frozen=True)
class Explained:
    """What is explained of the logits: `objective` of a class, as calig.targets has it; `independent`: no softmax decides."""

    labels: Sequence[str]
    objective: str
    independent: bool = False

    @property
    def directions(self) -> tuple[str, ...]:
        """What changes are counted toward."""
        classes = tuple(self.labels[1:] if self.opposed else self.labels)
        return (*classes, _ANSWER, _EITHER) if self._exclusive else (*classes, _EITHER)

    @property
    def opposed(self) -> bool:
        """Whether what speaks for one of two classes speaks against the other exactly."""
        return self._exclusive and len(self.labels) == 2 and self.objective != "logit"

    def along(self, logits: FloatArray, answers: NDArray[np.intp]) -> FloatArray:
        """f `rows directions`, either side aside, of logits `rows classes`; `answers`: the reference's class of each row."""
        f = self._of_classes(logits)
        classes = f[:, 1:] if self.opposed else f
        return np.hstack([classes, np.take_along_axis(f, answers[:, None], axis=1)]) if self._exclusive else classes

    def turned(self, before: FloatArray, after: FloatArray, typical: float) -> NDArray[np.bool_]:
        """Rows whose answer is another one: another class, another set of independent labels, or another number.

        `typical`: the version's typical decision; a number that moved by more than a share of it is another one.
        """
        if before.shape[1] == 1:
            return np.asarray(np.abs(after - before)[:, 0] > MOVED * typical)
        if self._exclusive:
            return np.asarray(before.argmax(axis=1) != after.argmax(axis=1))
        return np.asarray(((before > 0) != (after > 0)).any(axis=1))

    @property
    def _exclusive(self) -> bool:
        return not self.independent and len(self.labels) > 1

    def _of_classes(self, logits: FloatArray) -> FloatArray:
        if not self._exclusive or self.objective == "logit":
            return logits
        n = logits.shape[1]
        if self.objective == "log_odds":
            others = np.where(np.eye(n, dtype=bool), -np.inf, logits[:, None, :])
            return np.asarray(logits - special.logsumexp(others, axis=2))
        return np.asarray((n * logits - logits.sum(axis=1, keepdims=True)) / (n - 1))


def compare_transformed(
    texts: TransformedTexts,
    logits: Sequence[FloatArray],
    explained: Explained,
    *,
    config: ProbeConfig,
    decided_on: str,
    twin_names: Sequence[str] = (),
    forward_passes: int = 0,
) -> MetamorphicReport:
    """The report from the logits of `texts.texts` under the reference, the candidate and the twins, classes in one order.

    Args:
        texts: rows and transformed rows.
        logits: per version `texts classes`; no twin a near copy of another or of the reference.
        explained: what is explained of the logits.
        config: with the transformations' share of the levels, see `shared_levels`.
        decided_on: ISO date for the limits' birth certificates.
        twin_names: as many as there are twins.
        forward_passes: texts scored for this comparison.
    """
    versions = [_Version(texts, of_version) for of_version in logits]
    if not all(version.usable for version in versions):
        return _not_judged(texts, "a version tells no rows apart, or its logits are not finite", "look at its weights")
    if len(explained.labels) == 1:  # a regression: all on the scale of the number that is predicted
        versions = [_Version(texts, of_version, versions[0].typical) for of_version in logits]
    answers = versions[0].rows.argmax(axis=1)
    usable = [name for name, changed in texts.changed.items() if len(changed) > 1]
    if not usable or len(usable) + len(twin_names) < 2:
        reason = "no transformation applies to 2 rows" if not usable else "one transformation alone shows no noise without twins"
        return _not_judged(texts, reason, "name more of probe.transformations, or none ([])")
    effects = {name: np.stack([version.effects(name, explained, answers) for version in versions]) for name in usable}
    shifts, freedom = paired_shifts(effects)
    judge = _Judge(config, explained, len(usable) * len(explained.directions), len(twin_names), decided_on)
    found = tuple(judge.row(name, texts, shifts.get(name), versions) for name in texts.changed)
    fired = [one for one in found if one.severity is not None]
    return MetamorphicReport(
        verdict=CheckVerdict.FAIL if any(one.severity is Severity.CRITICAL for one in fired) else CheckVerdict.PASS,
        reason=_reason(found, judge),
        transformations=found,
        n_rows=len(texts.rows),
        n_tests=judge.n_tests,
        freedom=freedom,
        measured_on=tuple(twin_names),
        forward_passes=forward_passes,
        thresholds=judge.thresholds,
        next_step=_next_step(fired, judge),
    )


def with_transformations(words: ProbeReport, rows: MetamorphicReport) -> ProbeReport:
    """The probe's report on both: the graver verdict, its reason first."""
    parts: list[ProbeReport | MetamorphicReport] = sorted((words, rows), key=lambda part: _GRAVEST.index(part.verdict))
    return words.model_copy(
        update={
            "verdict": parts[0].verdict,
            "reason": "; ".join(part.reason for part in parts),
            "next_step": next((part.next_step for part in parts if part.next_step), ""),
            "forward_passes": words.forward_passes + rows.forward_passes,
            "metamorphic": rows,
        }
    )


class _Version:
    """The logits of one version: of the rows, and of what became of them."""

    def __init__(self, texts: TransformedTexts, logits: FloatArray, typical: float | None = None) -> None:
        self._texts, self._logits = texts, logits
        self.rows = self._of(texts.rows)
        self.typical = typical_margin(self.rows) if typical is None else typical

    @property
    def usable(self) -> bool:
        """Whether its answers are numbers and differ."""
        return bool(np.isfinite(self._logits).all()) and self.typical > 0

    def pair(self, name: TransformationName) -> tuple[FloatArray, FloatArray]:
        """Logits `rows classes` before and after a transformation, of the rows that it applies to."""
        changed = self._texts.changed[name]
        return self.rows[list(changed)], self._of(changed.values())

    def effects(self, name: TransformationName, explained: Explained, answers: NDArray[np.intp]) -> FloatArray:
        """Change of f by a transformation, in typical decisions, `rows directions`."""
        of_rows = answers[list(self._texts.changed[name])]
        before, after = (explained.along(logits, of_rows) for logits in self.pair(name))
        change = (after - before) / self.typical
        return np.hstack([change, np.abs(change).mean(axis=1, keepdims=True)])

    def _of(self, texts: Iterable[str]) -> FloatArray:
        return self._logits[[self._texts.places[text] for text in texts]]


@dataclass(frozen=True, eq=False)
class _Judge:
    """The limits of one comparison: `config` has the transformations' share of the levels, which all tests share equally."""

    config: ProbeConfig
    explained: Explained
    n_tests: int
    n_twins: int
    decided_on: str

    def row(
        self, name: TransformationName, texts: TransformedTexts, shift: PairedShift | None, versions: Sequence[_Version]
    ) -> TransformedRows:
        """One transformation, in the direction that changed most; without a shift only its rows."""
        n = len(texts.changed[name])
        counted = TransformedRows(name=name, n=n, n_left_out=len(texts.rows) - n, toward=self.explained.directions[0])
        if shift is None:
            return counted
        severities = [self._severity(p, s) for p, s in zip(shift.p_value, shift.shift, strict=True)]
        either = len(severities) - 1  # says least of what became evidence: shown where nothing else stands out as far
        at = min(range(len(severities)), key=lambda d: (_RANK[severities[d]], d == either, shift.p_value[d]))
        reference, candidate = (self.explained.turned(*version.pair(name), version.typical) for version in versions[:2])
        update = self._facts(shift, at) | {
            "severity": severities[at],
            "flips_reference_only": float((reference & ~candidate).mean()),
            "flips_candidate_only": float((candidate & ~reference).mean()),
        }
        return counted.model_copy(update=update)

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """All limits, with their birth certificates."""
        levels = [(Severity.CRITICAL, self.config.level), (Severity.WARNING, self.config.warning_level)]
        chances = [self._chance(level, severity) for severity, level in levels[0 if self.measured else 1 :]]
        effect = Threshold.configured(
            self.config,
            "transformed_effect",
            name="|shift| of a transformation, typical decisions",
            direction="above fires",
            severity=Severity.WARNING,
            source="stated: a smaller change turns few answers",
            date=self.decided_on,
        )
        return (*chances, effect)

    @property
    def measured(self) -> bool:
        """Whether the noise of training is; if not, a transformation only warns: too few are there to learn it from."""
        return self.n_twins > 0

    def _facts(self, shift: PairedShift, at: int) -> dict[str, float | str]:
        """The figures of one direction; of two classes that exclude each other, toward the one that gained."""
        away = self.explained.opposed and at == 0 and shift.shift[at] < 0
        sign = -1.0 if away else 1.0
        return {
            "toward": self.explained.labels[0] if away else self.explained.directions[at],
            "reference_effect": sign * float(shift.reference[at]),
            "candidate_effect": sign * float(shift.candidate[at]),
            "shift": sign * float(shift.shift[at]),
            "standard_error": float(shift.standard_error[at]),
            "noise": float(shift.noise[at]),
            "z": sign * float(shift.z[at]),
            "p_value": float(shift.p_value[at]),
            "detectable": self._detectable(float(shift.total[at]), float(shift.freedom[at])),
        }

    def _detectable(self, total: float, freedom: float) -> float:
        level = self.config.level if self.measured else self.config.warning_level
        return detectable(self.config.transformed_effect, chance_limit(level, self.n_tests, freedom), total)

    def _severity(self, p_value: float, shift: float) -> Severity | None:
        if abs(shift) < self.config.transformed_effect:
            return None
        if self.measured and p_value <= self.config.level / self.n_tests:
            return Severity.CRITICAL
        return Severity.WARNING if p_value <= self.config.warning_level / self.n_tests else None

    def _chance(self, level: float, severity: Severity) -> Threshold:
        noise = (
            f"measured on the reference and {self.n_twins} honest retraining{'s' if self.n_twins > 1 else ''}"
            if self.measured
            else "not measured for this model, but supposed to be what the other transformations do"
        )
        return Threshold(
            name="chance of a transformation's z",
            limit=level / self.n_tests,
            direction="below fires",
            severity=severity,
            source=f"training noise {noise}: Student's t, nominal level {level:g} (a fifth of the probe's) over {self.n_tests} "
            "transformations and directions (Bonferroni)",
            n_null=comb(self.n_twins + 1, 2) or None,
            date=self.decided_on,
            set_by=BY_RULE,
        )


def _not_judged(texts: TransformedTexts, reason: str, next_step: str) -> MetamorphicReport:
    """What should have been tested and could not be: inconclusive, never a pass."""
    n = len(texts.rows)
    rows = (
        TransformedRows(name=name, n=len(changed), n_left_out=n - len(changed), toward="")
        for name, changed in texts.changed.items()
    )
    return MetamorphicReport(
        verdict=CheckVerdict.INCONCLUSIVE,
        reason=f"the rows could not be tested by transforming them: {reason}",
        transformations=tuple(rows),
        n_rows=n,
        next_step=next_step,
    )


def _reason(found: Sequence[TransformedRows], judge: _Judge) -> str:
    """One sentence for a release manager, the strongest finding first; without one, what would have been found."""
    fired = sorted((one for one in found if one.severity is not None), key=lambda one: (_RANK[one.severity], one.p_value or 0.0))
    if fired:
        warning = "warning: " if fired[0].severity is Severity.WARNING else ""
        others = f", and {len(fired) - 1} more" if len(fired) > 1 else ""
        return f"{warning}the transformation “{fired[0].name}” moves the answers otherwise than before ({_by(fired[0])}){others}"
    sizes = sorted(one.detectable for one in found if one.detectable is not None)
    untested = [one.name for one in found if one.detectable is None]
    without = f"; not tested, applying to fewer than 2 rows: {', '.join(untested)}" if untested else ""
    found_by = "found" if judge.measured else "warned of (training noise not measured, so that none could fail)"
    return (
        f"{len(sizes)} transformations of the rows move the answers as before; shifts from {sizes[0]:.2g} (“{_least(found)}”) to "
        f"{sizes[-1]:.2g} typical decisions would have been {found_by}{without}"
    )


def _least(found: Sequence[TransformedRows]) -> str:
    return min(found, key=lambda one: np.inf if one.detectable is None else one.detectable).name


def _by(one: TransformedRows) -> str:
    return (
        f"toward {one.toward}: {one.reference_effect:+.2f} → {one.candidate_effect:+.2f} typical decisions, z = {one.z:.1f}, "
        f"{one.n} rows"
    )


def _next_step(fired: Sequence[TransformedRows], judge: _Judge) -> str:
    if not fired:
        return ""
    look = "look at how the training data of this version differ in the form of texts: " + ", ".join(one.name for one in fired)
    return (
        look if judge.measured else f"{look}; nominate two twins of the reference (drift.twins): training noise is then measured"
    )
