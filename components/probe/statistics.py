"""The paired change of every word's effect, and how far it stands out of the noise (pure arithmetic)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calig.metrics.perturbation import FloatArray

Unit = Literal["word", "pattern"]

#: Share of the words or patterns, those with the largest changes, that the spread leaves out: planted ones must not hide
#: themselves. One colour is in many of the few patterns, one word is in one of many.
_LEFT_OUT: dict[Unit, float] = {"word": 0.02, "pattern": 0.25}


@dataclass(frozen=True, eq=False)
class Shifts:
    """Per word and direction (`words directions`): mean change, its standard error over the contexts, its z; logits.

    spread: root mean square of the mean change over the words, the largest few left out, per direction.
    """

    mean: FloatArray
    standard_error: FloatArray
    z: FloatArray
    spread: FloatArray

    @property
    def largest(self) -> float:
        """Largest |z| of any word in any direction."""
        return float(np.abs(self.z).max())


def shifts(reference: FloatArray, candidate: FloatArray, unit: Unit = "word") -> Shifts:
    """The change of effects `words contexts directions` from reference to candidate, word by word.

    z = mean / √(spread² + standard error²): what the words at large do under retraining and how far the contexts disagree
    about this word both count as noise. The median absolute deviation would not do for the spread: most words are neutral
    and hardly move, while honest retraining moves the weights of those that matter.
    """
    change = candidate - reference
    mean = change.mean(axis=1)
    mean = mean - np.median(mean, axis=0)
    error = change.std(axis=1, ddof=1) / np.sqrt(change.shape[1])
    spread = _spread(mean, _LEFT_OUT[unit])
    return Shifts(mean, error, mean / np.hypot(spread, error), spread)


def _spread(mean: FloatArray, left_out: float) -> FloatArray:
    kept = np.sort(np.abs(mean), axis=0)[: max(1, int((1 - left_out) * len(mean)))]
    return np.asarray(np.maximum(np.sqrt((kept**2).mean(axis=0)), np.finfo(float).tiny))
