"""Do attributions hold still when the input hardly moves? Max-sensitivity (Yeh et al. 2019, definition 3.1)."""

from __future__ import annotations

import numpy as np

from calig.metrics.perturbation import FloatArray

# Keeps the shifts apart from what else is drawn from the same seed and row.
_STREAM = 2


def uniform_shifts(shape: tuple[int, ...], *, draws: int, radius: float, seed: int, row: int) -> FloatArray:
    """`draws` shifts δ of the given shape, every entry even in ±`radius`, so that ‖δ‖∞ ≤ radius; they depend on (seed, row)."""
    return np.random.default_rng([seed, row, _STREAM]).uniform(-radius, radius, size=(draws, *shape))


def max_sensitivity(attribution: FloatArray, shifted: FloatArray) -> float:
    """Largest ‖φ(x + δ) − φ(x)‖ / ‖φ(x)‖ over the draws of δ, Euclidean norms; 0: the map holds still; lower is better.

    NaN for an attribution of zeros.

    Args:
        attribution: φ(x), `content`.
        shifted: φ(x + δ) of every draw, toward the same class, `draws content`.
    """
    size = float(np.linalg.norm(attribution))
    if not size > 0:
        return float("nan")
    return float(np.linalg.norm(shifted - attribution, axis=-1).max() / size)
