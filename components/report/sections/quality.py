"""Quality of the explanations: checks, controls, curves, randomisation, and how well completeness holds in each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.report.checks import folded_checks
from components.report.choice import Briefs
from components.report.drawing import charts, formats
from components.report.drawing.charts import Line, LineChart, Point, Tick
from components.report.sections import Material, Section
from schemas.quality import FalsificationSummary, RandomisationStage

#: Beyond this many stages not every one is named on the axis.
_NAMED = 7


@dataclass(frozen=True, slots=True)
class LayerResidual:
    """Relative completeness residual of one layer (lower is better) and the path points it took."""

    layer: int
    median: float
    percentile_95: float
    worst: float
    mean_points: float


def layer_residuals(briefs: Briefs) -> list[LayerResidual]:
    """One entry per layer; empty without rows."""
    columns = enumerate(zip(briefs.residuals.T, briefs.mean_points, strict=True))
    return [
        LayerResidual(layer, float(np.median(of_layer)), float(np.percentile(of_layer, 95)), float(of_layer.max()), float(points))
        for layer, (of_layer, points) in columns
    ]


def randomisation_chart(attempt: FalsificationSummary | None) -> LineChart | None:
    """Rank correlation with the original maps as weights are randomised from the head down; None without a measured stage."""
    stages = [] if attempt is None else [stage for stage in attempt.stages if stage.n]
    if not stages:
        return None
    lines = (
        _line("sizes, |value|", [stage.absolute for stage in stages], stages, own=True),
        _line("signed values", [stage.signed for stage in stages], stages, own=False),
    )
    step = -(-len(stages) // _NAMED)
    names = ["none", *(stage.name for stage in stages[:-1]), "all"]
    shown = [i for i in range(len(names)) if i % step == 0 or i == len(stages)]
    x_ticks = tuple(Tick(_x(i, len(stages)), names[i]) for i in shown)
    return LineChart("randomisation", lines, x_ticks, tuple(Tick(_y(t), formats.exact(t)) for t in (-1.0, -0.5, 0.0, 0.5, 1.0)))


def _line(name: str, values: Sequence[float | None], stages: Sequence[RandomisationStage], *, own: bool) -> Line:
    """From 1 (nothing randomised) to the last stage; `auc` is the value there."""
    known = [(0, 1.0, "nothing randomised")]
    measured = zip(values, stages, strict=True)
    known += [(i, v, f"down to {stage.name}") for i, (v, stage) in enumerate(measured, 1) if v is not None]
    points = tuple(Point(_x(i, len(stages)), _y(v), f"{name}, {what}: {formats.plain(v)}") for i, v, what in known)
    return Line(name, charts.path_through(points), points, own, known[-1][1])


def _x(stage: int, n_stages: int) -> float:
    return charts.LEFT + stage / n_stages * (charts.WIDTH - charts.LEFT - charts.RIGHT)


def _y(correlation: float) -> float:
    return charts.y_at((correlation + 1.0) / 2.0)


def _context(material: Material) -> dict[str, Any]:
    quality = material.record.quality
    return {
        "checks": folded_checks(quality.checks),
        "margins": charts.margin_strips(quality.controls),
        "curve_charts": charts.curve_charts(quality.curves, outputs=material.record.model.is_regression),
        "randomisation_chart": randomisation_chart(quality.falsification),
        "layer_residuals": layer_residuals(material.briefs),
    }


SECTION = Section(20, "quality", "Quality", "quality.html.j2", _context)
