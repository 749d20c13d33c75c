"""CA-LIG against every method: means, paired differences, their bootstrap intervals, and who leads. Pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from calig.metrics.perturbation import FloatArray
from calig.metrics.statistics import MeanInterval, bootstrap_mean

_FURTHER = (
    *("difference_deleted", "difference_resampled", "difference_blurred"),
    *("auprc", "auroc", "token_f1", "span_f1", "word_auprc", "word_auroc", "word_token_f1"),
    *("run_auprc", "run_token_f1", "perturbation_gap"),
)

#: Measures by which methods are ranked: CA-LIG − method, above 0 CA-LIG is better; the names of margin, interval and verdict. In
#: the results the first has the plain names.
COMPARED = {
    "difference": ("margin_of_ca_lig", "margin_interval", "verdict"),
    **{name: (f"{name}_margin", f"{name}_margin_interval", f"{name}_verdict") for name in _FURTHER},
}

_DRAWS, _CONFIDENCE, _SEED = 2000, 0.95, 0


def compared(name: str, values: dict[str, FloatArray], ca_lig: dict[str, FloatArray]) -> dict[str, Any]:
    """One method's figures. values, ca_lig: measures `rows` on the same rows; NaN where there is nothing to measure.

    `verdict` says how CA-LIG fares: it `beats` the method when the interval of the paired difference lies above 0, `loses`
    when it lies below, else they are `not separable`. Measures that no row has are left out.
    """
    result: dict[str, Any] = {"name": name}
    for measure, of_rows in values.items():
        mean = _mean(of_rows)
        if mean is not None:
            result |= {measure: mean.mean, f"{measure}_interval": [mean.low, mean.high]}
    for measure, names in COMPARED.items():
        margin = _mean(ca_lig[measure] - values[measure]) if measure in values else None
        if margin is not None:
            result |= zip(names, (margin.mean, [margin.low, margin.high], verdict(margin)), strict=True)
    return result


def margins_of(first: dict[str, FloatArray], second: dict[str, FloatArray]) -> dict[str, list[float]]:
    """One method less another on the same rows by comprehensiveness − sufficiency under every removal: mean, and its interval."""
    found = {m: _mean(first[m] - second[m]) for m in COMPARED if m.startswith("difference") and m in first}
    return {measure: [margin.mean, margin.low, margin.high] for measure, margin in found.items() if margin is not None}


def verdict(margin: MeanInterval) -> str:
    """How CA-LIG fares, from the interval of CA-LIG − method."""
    return "beats" if margin.low > 0 else "loses" if margin.high < 0 else "not separable"


def _mean(values: FloatArray) -> MeanInterval | None:
    known = values[~np.isnan(values)]
    return bootstrap_mean(known, draws=_DRAWS, confidence=_CONFIDENCE, seed=_SEED) if known.size else None
