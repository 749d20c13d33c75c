"""Paired change of what transformations of rows do under two versions, and how far it stands out of noise (pure arithmetic)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

from calig.metrics.perturbation import FloatArray

_Name = TypeVar("_Name", bound=str)

#: What the log likelihood of the prior degrees of freedom may lie below its maximum: a one-sided 95 % bound. A dozen tests say
#: little about them, and what is not known must not accuse.
_BELOW_BEST = float(stats.chi2.ppf(0.9, 1)) / 2

#: Prior degrees of freedom, and logs of the prior variance over the mean one, among which the likelihood is searched.
_FREEDOMS, _LOG_SCALES = np.geomspace(0.5, 1e3, 50), np.linspace(-3.0, 3.0, 61)


@dataclass(frozen=True, eq=False)
class PairedShift:
    """What one transformation does, per direction, in the units of the effects.

    reference, candidate: mean effect over the rows; with twins the reference's is the mean of the family. standard_error: of the
    shift, over the rows. noise: what honest retraining does to the candidate's distance from the reference. total: both.
    freedom: degrees of freedom of Student's t that z is held against.
    """

    reference: FloatArray
    candidate: FloatArray
    standard_error: FloatArray
    noise: FloatArray
    freedom: FloatArray

    @property
    def shift(self) -> FloatArray:
        """Candidate less reference."""
        return self.candidate - self.reference

    @property
    def total(self) -> FloatArray:
        """Noise and standard error together."""
        return np.hypot(self.noise, self.standard_error)

    @property
    def z(self) -> FloatArray:
        """Shift over its noise; 0 where nothing moved at all."""
        return np.divide(self.shift, self.total, out=np.zeros_like(self.total), where=self.total > 0)

    @property
    def p_value(self) -> FloatArray:
        """Chance of such a |z| by noise alone."""
        return np.asarray(2 * stats.t.sf(np.abs(self.z), self.freedom))


def paired_shifts(effects: Mapping[_Name, FloatArray]) -> tuple[dict[_Name, PairedShift], float | None]:
    """The shift of each transformation, and the prior degrees of freedom of the noise (None: not measured).

    `effects`: per transformation `versions rows directions`, in the order reference, candidate, twins.

    The variance of the reference and its twins is drawn toward what all transformations say (moderated variances, Smyth 2004),
    with as many degrees of freedom as the likelihood of all variances allows at least. Without twins the noise of a
    transformation is what the others do in this very comparison, root mean square: an assumption, on which no version should
    fail.
    """
    families = {name: np.delete(of, 1, axis=0).mean(axis=1) for name, of in effects.items()}
    means = {name: family.mean(axis=0) for name, family in families.items()}
    candidates = {name: of[1].mean(axis=0) for name, of in effects.items()}
    measured = len(next(iter(families.values()))) > 1
    if measured:
        noise, freedom, prior = _measured(families)
    else:
        noise, freedom, prior = _supposed({name: candidates[name] - means[name] for name in effects}), len(effects) - 1.0, None
    found = {}
    for name, of in effects.items():
        error = (of[1] - np.delete(of, 1, axis=0).mean(axis=0)).std(axis=0, ddof=1) / np.sqrt(of.shape[1])
        found[name] = PairedShift(
            means[name], candidates[name], error, noise[name], _welch(noise[name], freedom, error, of.shape[1] - 1)
        )
    return found, prior


def prior_of(variances: FloatArray, freedom: int) -> tuple[float, float]:
    """Scale and degrees of freedom d₀ of variances s² with s²/scale ~ F(freedom, d₀): the least d₀ within a 95 % bound."""
    moved = variances[variances > 0]
    if not len(moved):
        return 0.0, float(_FREEDOMS[-1])
    scales = np.exp(_LOG_SCALES) * moved.mean()
    ratios = moved[:, None, None] / scales
    likelihood = (stats.f.logpdf(ratios, freedom, _FREEDOMS[:, None]) - np.log(scales)).sum(axis=0)
    profile = likelihood.max(axis=1)
    least = int(np.argmax(profile >= profile.max() - _BELOW_BEST))
    return float(scales[likelihood[least].argmax()]), float(_FREEDOMS[least])


def _measured(families: Mapping[_Name, FloatArray]) -> tuple[dict[_Name, FloatArray], float, float]:
    """Noise of a candidate's distance from the mean of `versions directions`, its degrees of freedom, and d₀ among them.

    Of m versions each variance has m − 1 of its own, d₀ can be no more than all transformations have together, and the mean of
    the family is itself uncertain: 1 + 1/m.
    """
    m = len(next(iter(families.values())))
    own = {name: family.var(axis=0, ddof=1) for name, family in families.items()}
    scale, freedom = prior_of(np.concatenate(list(own.values())), m - 1)
    freedom = min(freedom, (m - 1) * len(own))
    moderated = {name: (freedom * scale + (m - 1) * s2) / (freedom + m - 1) for name, s2 in own.items()}
    return {name: np.sqrt(s2 * (1 + 1 / m)) for name, s2 in moderated.items()}, freedom + m - 1, freedom


def _supposed(shifts: Mapping[_Name, FloatArray]) -> dict[_Name, FloatArray]:
    """The root mean square of the other transformations' shifts, over all directions."""
    squares = {name: float((shift**2).mean()) for name, shift in shifts.items()}
    others = {name: [square for other, square in squares.items() if other != name] for name in squares}
    return {name: np.full_like(shift, np.sqrt(np.mean(others[name]))) for name, shift in shifts.items()}


def _welch(noise: FloatArray, noise_freedom: float, error: FloatArray, error_freedom: int) -> FloatArray:
    """Degrees of freedom of noise² + error², by Welch and Satterthwaite."""
    parts = noise**4 / noise_freedom + error**4 / error_freedom
    both = np.full_like(parts, float(error_freedom))
    return np.divide((noise**2 + error**2) ** 2, parts, out=both, where=parts > 0)
