"""Concentration of an attribution over the content tokens of one row: reported, never judged."""

from __future__ import annotations

import numpy as np

from calig.metrics.perturbation import FloatArray


def entropy(attribution: FloatArray) -> float:
    """−Σ q ln q with q = |φ| / Σ|φ|, in nats (Bhatt et al. 2020, complexity): 0 for one token, ln n for an even spread.

    NaN for an attribution of zeros.
    """
    size = np.abs(attribution)
    if not size.sum() > 0:
        return float("nan")
    share = size[size > 0] / size.sum()
    return float(-(share * np.log(share)).sum()) + 0.0


def gini(attribution: FloatArray) -> float:
    """Gini index of |φ| (Chalasani et al. 2020, sparseness): 0 for an even spread, 1 − 1/n for one token.

    NaN for an attribution of zeros.
    """
    size = np.sort(np.abs(attribution))
    if not size.sum() > 0:
        return float("nan")
    n = len(size)
    return float((2 * np.arange(1, n + 1) - n - 1) @ size / (n * size.sum()))
