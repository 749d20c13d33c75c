"""The paired change of every word's effect, and how far it stands out of the noise (pure arithmetic)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calig.metrics.perturbation import FloatArray

#: Makes the median absolute deviation of normal values their standard deviation.
_MAD = 1.4826


@dataclass(frozen=True, eq=False)
class Shifts:
    """Per word and direction (`words directions`): mean change, its standard error over the contexts, its z; logits.

    spread: robust standard deviation of the mean change over the words, per direction.
    """

    mean: FloatArray
    standard_error: FloatArray
    z: FloatArray
    spread: FloatArray

    @property
    def largest(self) -> float:
        """Largest |z| of any word in any direction."""
        return float(np.abs(self.z).max())


def shifts(reference: FloatArray, candidate: FloatArray) -> Shifts:
    """The change of effects `words contexts directions` from reference to candidate, word by word.

    z = mean / √(spread² + standard error²): what the words at large do under retraining (median and MAD, which a few
    planted words cannot move) and how far the contexts disagree about this word both count as noise.
    """
    change = candidate - reference
    mean = change.mean(axis=1)
    mean = mean - np.median(mean, axis=0)
    error = change.std(axis=1, ddof=1) / np.sqrt(change.shape[1])
    spread = np.maximum(_MAD * np.median(np.abs(mean), axis=0), np.finfo(float).tiny)
    return Shifts(mean, error, mean / np.hypot(spread, error), spread)
