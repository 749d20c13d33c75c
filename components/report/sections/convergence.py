"""How well completeness holds in each layer, over every explained row of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.report.rows import Brief


@dataclass(frozen=True, slots=True)
class LayerResidual:
    """Relative completeness residual of one layer (lower is better) and the path points it took."""

    layer: int
    median: float
    percentile_95: float
    worst: float
    mean_points: float


def layer_residuals(briefs: list[Brief]) -> list[LayerResidual]:
    """One entry per layer; empty without rows."""
    if not briefs:
        return []
    residuals = np.array([brief.residuals for brief in briefs], dtype=float)
    points = np.array([brief.n_points for brief in briefs], dtype=float)
    columns = zip(
        np.median(residuals, axis=0),
        np.percentile(residuals, 95, axis=0),
        residuals.max(axis=0),
        points.mean(axis=0),
        strict=True,
    )
    return [LayerResidual(layer, *(float(value) for value in column)) for layer, column in enumerate(columns)]
