"""The words worth listing: each in its strongest direction, those beyond a limit first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calig.metrics.perturbation import FloatArray
from components.probe.limits import Limits
from components.probe.statistics import Shifts, Unit, shifts
from schemas.base import Severity
from schemas.probe import ProbedWord

_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, None: 2}


@dataclass(frozen=True, eq=False)
class Ranking:
    """The versions' effects `words contexts directions`, and what the words are."""

    reference: FloatArray
    candidate: FloatArray
    twins: Sequence[FloatArray]
    words: Sequence[str]
    labels: Sequence[str]
    occurrences: Mapping[str, int]
    unit: Unit
    noise_cap: float

    def strongest(self, limits: Limits, *, at_least: int) -> tuple[list[ProbedWord], Shifts]:
        """All words beyond a limit and at least so many others, strongest first; and the shifts of all."""
        found = shifts(self.reference, self.candidate, self.unit, self.twins, self.noise_cap)
        places = np.abs(found.z).argmax(axis=1)
        severities = [limits.severity(float(found.z[at]), float(found.mean[at])) for at in enumerate(places)]
        order = sorted(range(len(self.words)), key=lambda i: (_RANK[severities[i]], -abs(found.z[i, places[i]])))
        kept = [i for n, i in enumerate(order) if n < at_least or severities[i] is not None]
        return [self._word(found, (i, int(places[i])), severities[i]) for i in kept], found

    def _word(self, found: Shifts, at: tuple[int, int], severity: Severity | None) -> ProbedWord:
        """One word, with two classes turned so that it speaks for `toward` more than before."""
        binary = len(self.labels) == 2
        sign = -1.0 if binary and found.mean[at] < 0 else 1.0
        word, direction = self.words[at[0]], int(sign > 0) if binary else at[1]
        return ProbedWord(
            word=word,
            toward=self.labels[direction],
            reference_effect=sign * float(np.mean([side[at[0], :, at[1]] for side in (self.reference, *self.twins)])),
            candidate_effect=sign * float(self.candidate[at[0], :, at[1]].mean()),
            shift=sign * float(found.mean[at]),
            standard_error=float(found.standard_error[at]),
            z=sign * float(found.z[at]),
            occurrences=self.occurrences.get(word.casefold(), 0),
            severity=severity,
        )
