"""The randomisation curve as a chart: what is left of the maps as the weights are randomised from the head down."""

from __future__ import annotations

from collections.abc import Sequence

from components.report.drawing import numbers
from components.report.drawing.charts import LEFT, RIGHT, WIDTH, Line, LineChart, Point, Tick, path_through, y_at
from schemas.falsification import FalsificationSummary, RandomisationStage

#: Beyond this many stages not every one is named on the axis.
_NAMED = 7


def randomisation_chart(attempt: FalsificationSummary | None) -> LineChart | None:
    """Mean rank correlation with the original maps per stage, sizes first; None without a stage that was measured."""
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
    return LineChart("randomisation", lines, x_ticks, tuple(Tick(_y(t), numbers.exact(t)) for t in (-1.0, -0.5, 0.0, 0.5, 1.0)))


def _line(name: str, values: Sequence[float | None], stages: Sequence[RandomisationStage], *, own: bool) -> Line:
    """From 1 (nothing randomised) to the last stage; `auc` is the value there."""
    known = [(0, 1.0, "nothing randomised")]
    measured = zip(values, stages, strict=True)
    known += [(i, v, f"down to {stage.name}") for i, (v, stage) in enumerate(measured, 1) if v is not None]
    points = tuple(Point(_x(i, len(stages)), _y(v), f"{name}, {what}: {numbers.plain(v)}") for i, v, what in known)
    return Line(name, path_through(points), points, own, known[-1][1])


def _x(stage: int, n_stages: int) -> float:
    return LEFT + stage / n_stages * (WIDTH - LEFT - RIGHT)


def _y(correlation: float) -> float:
    return y_at((correlation + 1.0) / 2.0)
