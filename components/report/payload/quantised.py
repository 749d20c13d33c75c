"""Values as whole numbers of a step: what the page carries instead of floating-point numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int8] | NDArray[np.int16] | NDArray[np.uint8]


def quantised(values: NDArray[np.float64], dtype: type[np.integer[Any]]) -> tuple[NDArray[Any], np.float32]:
    """Codes of `dtype`, shaped as `values`, and the step in the values' unit: value ≈ code × step.

    The largest size takes the largest code, so the error is at most half a step: 1/65,534 of the largest size in 16 bits,
    1/254 in 8 bits, 1/510 in 8 bits without a sign. The step of an empty or all-zero array is 0.
    """
    largest = float(np.max(np.abs(values), initial=0.0))
    step = np.float32(largest / np.iinfo(dtype).max)
    if not step > 0 or not np.isfinite(step):
        return np.zeros(values.shape, dtype), np.float32(0)
    codes = np.rint(np.nan_to_num(values) / float(step))
    return np.clip(codes, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype), step
