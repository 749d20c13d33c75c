"""Values as whole numbers of a step: what the page carries instead of floating-point numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantised(values: NDArray[np.float64], dtype: type[np.integer[Any]]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Codes of `dtype`, shaped as `values`, and steps in the values' unit, one per last axis: value ≈ code × step.

    The largest size takes the largest code, so the error is at most half a step: 1/65,534 of the largest size in 16 bits,
    1/254 in 8 bits, 1/510 in 8 bits without a sign. Where nothing is there, all is zero, or something is not finite, codes
    and step are 0.
    """
    limits = np.iinfo(dtype)
    steps = (np.abs(values).max(axis=-1, initial=0.0) / limits.max).astype(np.float32)
    usable = np.isfinite(steps) & (steps > 0)
    divisors = np.where(usable, steps, np.inf).astype(np.float64)[..., None]
    codes = np.rint(np.where(usable[..., None], values, 0.0) / divisors)
    return np.clip(codes, limits.min, limits.max).astype(dtype), np.where(usable, steps, np.float32(0))
