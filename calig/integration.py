"""Adaptive integration of many rows at once: each row is refined as far as its own completeness needs (METHOD.md, numerics)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calig.quadrature import integrate, interleave, max_level, new_nodes, nodes

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Differences f(x) − f(x') smaller than this many logits are measured against it: it moves a probability by 2.5 points at most.
DIFFERENCE_FLOOR = 0.1

#: The change of s between two refinements is the error of the coarser one. The finer one's is at least ten times smaller: with a
#: change of 5 % allowed, the measured error of s was 0.2 % (95th percentile, 6-layer encoder, SST-2, layers 0, 2 and 4).
CHANGE_PER_TOLERANCE = 5.0

#: The first look: 9 nodes, evaluated together. Of 144 rows and layers of that encoder one needed fewer; small batches are slow.
FIRST_LEVEL = 3


@dataclass(frozen=True)
class LayerIntegral:
    """sˡ of a group of rows and how well it was computed.

    attribution: `rows seq`; residual: `rows`, relative, lower is better; n_points: `rows`, both ends included;
    converged: `rows`; slope_at_input: `rows seq`, the integrand at α = 1.
    """

    attribution: Floats
    residual: Floats
    n_points: Indices
    converged: NDArray[np.bool_]
    slope_at_input: Floats


def integrate_adaptively(
    slope: Callable[[Floats, Indices], Floats],
    at_ends: Floats,
    difference: Floats,
    *,
    tolerance: float,
    max_points: int,
) -> LayerIntegral:
    """∫₀¹ slope dα per row, refined until completeness holds and the value has settled.

    Args:
        slope: (α `points`, rows) → `points rows seq`; never called twice for the same α and row.
        at_ends: the slope at α = 0 and α = 1, `2 rows seq`, known beforehand.
        difference: f(x) − f(x'), `rows`: what each row's attributions must sum to.
        tolerance: allowed residual, relative to |difference| (to `DIFFERENCE_FLOOR` below that); `CHANGE_PER_TOLERANCE`
            times as much of Σ|s| may change between two refinements.
        max_points: a row that needs more is returned as it is, not converged.
    """
    n_rows = at_ends.shape[1]
    attribution, residual = np.zeros(at_ends.shape[1:]), np.full(n_rows, np.inf)
    n_points, converged = np.full(n_rows, 2), np.zeros(n_rows, dtype=bool)
    scale = np.maximum(np.abs(difference), DIFFERENCE_FLOOR)
    active, deepest = np.arange(n_rows), max_level(max_points)
    first = min(FIRST_LEVEL, deepest)
    values = np.concatenate([at_ends[:1], slope(nodes(first)[1:-1], active), at_ends[1:]])
    for level in range(first, deepest + 1):
        if level > first:
            values = interleave(values, slope(new_nodes(level), active))
        refined, coarse = integrate(values, level), integrate(values[::2], level - 1)
        change = np.abs(refined - coarse).sum(-1) / np.maximum(np.abs(refined).sum(-1), scale[active])
        residual[active] = np.abs(refined.sum(-1) - difference[active]) / scale[active]
        attribution[active], n_points[active] = refined, len(values)
        settled = (residual[active] <= tolerance) & (change <= CHANGE_PER_TOLERANCE * tolerance)
        converged[active] = settled
        active, values = active[~settled], values[:, ~settled]
        if not len(active):
            break
    return LayerIntegral(attribution, residual, n_points, converged, at_ends[1])
