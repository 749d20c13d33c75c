"""Quadrature along a path, α ∈ [0, 1], on nodes that each path chooses for itself. Pure functions.

Two ideas. *Nodes where attributions change*: α = c + d·sinh(…t), because evidence appears early on the way from the baseline to
the input; in t, segments are halved where they are not good enough, so every refinement keeps all earlier nodes. *What is known
exactly is used*: the logit f is known at every node, hence the integral of its slope over every segment. That tells which
segments are not good enough, and it corrects the weights (a control variate), so that completeness holds to rounding.

All functions work on many paths at once, as long as these have equally many nodes: `paths nodes`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Where the nodes are densest, and how wide that region is, both in α.
_CENTRE, _WIDTH = 0.3, 0.2
_FIRST = -np.arcsinh(_CENTRE / _WIDTH)
_RANGE = np.arcsinh((1.0 - _CENTRE) / _WIDTH) - _FIRST

#: Nodes of the local interpolating polynomial: cubic.
_STENCIL = 4

#: Gauss-Legendre nodes inside a segment: the cubic is integrated against dα/dt to rounding.
_INNER, _INNER_WEIGHTS = np.polynomial.legendre.leggauss(8)


def alpha_of(t: Floats) -> Floats:
    """α of the path variable t, both on [0, 1]; the ends stay exactly where they are."""
    alpha: Floats = _CENTRE + _WIDTH * np.sinh(_FIRST + _RANGE * np.asarray(t))
    return np.where(t == 0.0, 0.0, np.where(t == 1.0, 1.0, alpha))


def segment_weights(t: Floats) -> Floats:
    """Weights with which values at the nodes make the integral over each segment: `paths nodes` → `paths segments nodes`.

    In every segment the values are interpolated by a cubic in t through its four nearest nodes (fewer where there are fewer).

    Args:
        t: nodes in ascending order, the first 0 and the last 1, `paths nodes`.
    """
    n_paths, n = t.shape
    size = min(n, _STENCIL)
    first = np.clip(np.arange(n - 1) - (size // 2 - 1), 0, n - size)
    stencil = first[:, None] + np.arange(size)
    half = np.diff(t)[..., None] / 2
    inner = t[:, :-1, None] + half * (1.0 + _INNER)
    measure = half * _INNER_WEIGHTS * _WIDTH * _RANGE * np.cosh(_FIRST + _RANGE * inner)
    local = np.einsum("psg,psgk->psk", measure, _lagrange(t[:, stencil], inner))
    weights = np.zeros((n_paths, n - 1, n))
    np.put_along_axis(weights, np.broadcast_to(stencil, local.shape), local, axis=2)
    return weights


def corrected(weights: Floats, slopes: Floats, differences: Floats) -> Floats:
    """The smallest change of `weights` with which they integrate `slopes` to the known `differences`.

    The regression estimator of a control variate (Glasserman 2003, section 4.1): with slopes D of the whole logit, every
    position's ∫ s_i becomes w·s_i + β_i (Δf − w·D), β_i the regression coefficient of s_i on D under |w|; Σ β_i = 1.

    Args:
        weights: `… nodes`; they change in proportion to their own size.
        slopes: ∂f/∂α at the nodes, `… nodes`.
        differences: ∫ ∂f/∂α dα, `…`.
    """
    pull = np.abs(weights) * slopes
    strength = (pull * slopes).sum(-1)
    missing = differences - (weights * slopes).sum(-1)
    share = np.divide(missing, strength, out=np.zeros_like(missing), where=strength > np.finfo(float).tiny)
    result: Floats = weights + pull * share[..., None]
    return result


def every_other(n: int) -> NDArray[np.int64]:
    """Which of `n` nodes the coarser rule keeps: every second one and both ends."""
    kept = np.arange(0, n, 2)
    return kept if kept[-1] == n - 1 else np.append(kept, n - 1)


def gauss_legendre(n_points: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the ordinary rule on [0, 1], for those who want a fixed number of points."""
    nodes, weights = np.polynomial.legendre.leggauss(n_points)
    return (1.0 + nodes) / 2.0, weights / 2.0


def _lagrange(nodes: Floats, at: Floats) -> Floats:
    """Basis polynomials of `nodes` (`… k`) at the points `at` (`… points`): `… points k`."""
    k = nodes.shape[-1]
    others = np.array([[j for j in range(k) if j != i] for i in range(k)])
    far = nodes[..., others]
    factors = (at[..., None, None] - far[..., None, :, :]) / (nodes[..., None] - far)[..., None, :, :]
    basis: Floats = factors.prod(-1)
    return basis
