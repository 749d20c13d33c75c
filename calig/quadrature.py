"""Nested quadrature on [0, 1]: every refinement keeps all earlier nodes (Clenshaw and Curtis 1960). Pure functions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@lru_cache(maxsize=32)
def nodes(level: int) -> Floats:
    """The 2^level + 1 Chebyshev points on [0, 1], ascending; level k contains level k − 1."""
    n = 2**level
    points: Floats = (1.0 - np.cos(np.pi * np.arange(n + 1) / n)) / 2.0
    return points


@lru_cache(maxsize=32)
def weights(level: int) -> Floats:
    """Clenshaw-Curtis weights of `nodes(level)`; they sum to one and are exact for polynomials of degree 2^level."""
    n = 2**level
    if n == 1:
        return np.array([0.5, 0.5])
    k = np.arange(1, n // 2 + 1)
    b = np.where(k == n // 2, 1.0, 2.0) / (4.0 * k**2 - 1.0)
    angles = np.pi * np.arange(n + 1) / n
    w: Floats = (1.0 - np.cos(2.0 * np.outer(angles, k)) @ b) / n
    w[[0, -1]] /= 2.0
    return w


@lru_cache(maxsize=32)
def new_nodes(level: int) -> Floats:
    """The nodes of `level` that `level − 1` does not have (for level ≥ 1: every second one)."""
    return nodes(level)[1::2]


def interleave(old: Floats, new: Floats) -> Floats:
    """Merge values at `nodes(level − 1)` and at `new_nodes(level)` into values at `nodes(level)`, along axis 0."""
    merged = np.empty((len(old) + len(new), *old.shape[1:]))
    merged[0::2], merged[1::2] = old, new
    return merged


def integrate(values: Floats, level: int) -> Floats:
    """∫₀¹ of a function given at `nodes(level)`: `nodes …` → `…`."""
    integral: Floats = np.tensordot(weights(level), values, axes=1)
    return integral


def max_level(max_points: int) -> int:
    """The deepest level with at most `max_points` nodes."""
    return int(np.floor(np.log2(max_points - 1)))
