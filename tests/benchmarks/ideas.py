"""What each idea of the engine is worth: the same work with one of them taken away; and how wrong attributions are."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from calig import explain
from tests.benchmarks.cases import Loaded
from tests.benchmarks.machine import worked
from tests.benchmarks.peer import LADDER, Floats, p95

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
                seconds[name].append(worked(lambda options=options: explain(*loaded, **options), device)[0])
    return {name: min(s) / min(seconds["all"]) for name, s in seconds.items() if name != "all"}


@dataclass(frozen=True)
class AttributionErrors:
    """Σ|s − reference| / Σ|reference|: 95th percentile over rows, worst layer.

    ours: of the engine; uniform: with the peer's points at equal residual; points: the fewest of `LADDER` with which a peer that
    puts as many points everywhere is no further off than the engine; None: there is no such number.
    """

    ours: float
    uniform: float
    points: int | None


def attribution_errors(loaded: Loaded, uniform_points: int) -> AttributionErrors:
    """Against many points everywhere. An equal residual is no equal error: what a rule misses may cancel in the sum."""
    reference = _layers(loaded, n_points=_REFERENCE_POINTS)

    def error(**options: int) -> float:
        return p95(_relative(_layers(loaded, **options), reference))

    ours = error()
    points = next((n for n in LADDER if n < _REFERENCE_POINTS and error(n_points=n) <= ours), None)
    return AttributionErrors(ours, error(n_points=uniform_points), points)


def _layers(loaded: Loaded, **options: int) -> list[Floats]:
    return [a.layer_attributions for a in explain(*loaded, **options)]


def _relative(values: list[Floats], reference: list[Floats]) -> Floats:
    """`rows layers`; the rows are of different lengths."""
    return np.array([np.abs(v - r).sum(-1) / np.abs(r).sum(-1) for v, r in zip(values, reference, strict=True)])
