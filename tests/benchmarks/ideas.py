"""What each idea of the engine is worth: the same work with one of them taken away; and how wrong attributions are."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np

from calig import explain
from tests.benchmarks.cases import Loaded
from tests.benchmarks.machine import timed
from tests.benchmarks.peer import Floats, p95

_REFERENCE_POINTS = 192


def shares(loaded: Loaded, uniform_points: int, device: str) -> dict[str, float]:
    """Time without an idea over time with all of them: higher is a larger share.

    Points by need: against `uniform_points` Gauss-Legendre points everywhere, the fewest with which Captum gets there.
    """
    without: dict[str, tuple[AbstractContextManager[Any], dict[str, Any]]] = {
        "all": (nullcontext(), {}),
        "points by need": (nullcontext(), {"n_points": uniform_points}),
        "read-out position alone in the last block": (patch("calig.passes.read_out_position", lambda _: None), {}),
        "oneDNN products": (patch("calig.products._HAS_ONEDNN", False), {}),
        "float32 instead of bfloat16 products": (nullcontext(), {"reduced": True}),
    }
    seconds: dict[str, list[float]] = {name: [] for name in without}
    for _ in range(2):
        for name, (context, options) in without.items():
            with context:
                seconds[name].append(timed(lambda options=options: explain(*loaded, **options), device)[0])
    return {name: min(s) / min(seconds["all"]) for name, s in seconds.items() if name != "all"}


def attribution_errors(loaded: Loaded, uniform_points: int) -> dict[str, float]:
    """Σ|s − reference| / Σ|reference|: 95th percentile over rows, worst layer; ours, and with uniform points as the peer has."""
    reference, ours, uniform = (
        [a.layer_attributions for a in explain(*loaded, **options)]
        for options in ({"n_points": _REFERENCE_POINTS}, {}, {"n_points": uniform_points})
    )
    return {
        "attribution_error_p95": p95(_relative(ours, reference)),
        "captum_attribution_error_p95_at_equal_residual": p95(_relative(uniform, reference)),
    }


def _relative(values: list[Floats], reference: list[Floats]) -> Floats:
    """`rows layers`; the rows are of different lengths."""
    return np.array([np.abs(v - r).sum(-1) / np.abs(r).sum(-1) for v, r in zip(values, reference, strict=True)])
