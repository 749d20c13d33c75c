"""The numbers of a quality report: metrics with intervals, paired controls, mean curves, and what a reader must know first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calig.metrics.faithfulness import area_under_curve
from calig.metrics.perturbation import FloatArray, curve_points
from components.intervals import FEWEST, MIN_ROWS, mean_and_interval
from components.quality.definitions import FALSIFICATION_MEANS, IMAGE_MEANS, MEANS, PLAUSIBILITY_MEANS
from components.quality.frame import CONTROLS, METHODS
from components.quality.rows import ScoredRows
from schemas.base import Direction
from schemas.config import QualityConfig
from schemas.quality import Control, Curve, Metric

if TYPE_CHECKING:
    import pandas as pd


def metrics(scored: ScoredRows, config: QualityConfig, *, falsified: bool) -> tuple[Metric, ...]:
    """Every metric of the run; a value is None when no row could be judged. `falsified`: with those of the attempt to falsify."""
    applicable = [row for row in (*IMAGE_MEANS, *PLAUSIBILITY_MEANS) if known(scored.frame, row[1]).size]
    attempt = FALSIFICATION_MEANS if falsified else ()
    means = (_mean(scored.frame, config, *row) for row in (*MEANS, *applicable, *attempt))
    return (_residual(scored.frame), _non_finite(scored.frame), *means)


def _residual(frame: pd.DataFrame) -> Metric:
    residuals = known(frame, "residual_max")
    return Metric(
        name="completeness residual p95",
        value=float(np.quantile(residuals, 0.95)) if residuals.size else None,
        direction=Direction.LOWER,
        n=residuals.size,
        definition="95th percentile over rows of the largest |Σ s − (f(x) − f(x'))| / |f(x) − f(x')| of any layer, as the "
        "quadrature leaves it before it is corrected by what is known of f (completeness; Sundararajan et al. 2017)",
    )


def _non_finite(frame: pd.DataFrame) -> Metric:
    return Metric(
        name="non-finite rows",
        value=float(frame["non_finite"].sum()) if len(frame) else None,
        direction=Direction.LOWER,
        n=len(frame),
        definition="rows whose attribution or residual is missing, NaN or infinite; not scored",
    )


def _mean(frame: pd.DataFrame, config: QualityConfig, name: str, column: str, direction: Direction, definition: str) -> Metric:
    values = known(frame, column)
    if values.size == 0:
        return Metric(name=name, value=None, direction=direction, n=0, definition=definition)
    mean, interval = mean_and_interval(values, config)
    spread = interval if values.size >= FEWEST else None
    return Metric(name=name, value=mean, interval=spread, direction=direction, n=values.size, definition=definition)


def controls(scored: ScoredRows, config: QualityConfig) -> tuple[Control, ...]:
    """CA-LIG against each control that at least two rows have, paired by row; fewer have no interval."""
    return tuple(_control(scored.frame, name, config) for name in CONTROLS if n_compared(scored.frame, name) >= FEWEST)


def n_compared(frame: pd.DataFrame, control: str) -> int:
    """Rows on which CA-LIG could be compared with the control."""
    return known(frame, f"margin_over_{control}").size


def _control(frame: pd.DataFrame, name: str, config: QualityConfig) -> Control:
    margin, interval = mean_and_interval(known(frame, f"margin_over_{name}"), config)
    return Control(
        name=name,
        comprehensiveness=float(known(frame, f"comprehensiveness_{name}").mean()),
        sufficiency=float(known(frame, f"sufficiency_{name}").mean()),
        margin=margin,
        margin_interval=interval,
        beats_ca_lig=n_compared(frame, name) >= MIN_ROWS and interval.high < 0.0,
    )


def mean_curves(scored: ScoredRows, config: QualityConfig) -> tuple[Curve, ...]:
    """Deletion and insertion curves of every method, mean over the rows that have it."""
    return tuple(
        _curve(method, kind, scored.curves[:, index, side], config)
        for index, method in enumerate(METHODS)
        for side, kind in enumerate(("deletion", "insertion"))
        if not np.isnan(scored.curves[:, index, side]).all()
    )


def _curve(method: str, kind: str, curves: FloatArray, config: QualityConfig) -> Curve:
    probability = curves[~np.isnan(curves[:, 0])].mean(axis=0)
    return Curve(
        method=method,
        kind=kind,
        fractions=curve_points(config.fractions),
        probability=tuple(probability.tolist()),
        auc=float(area_under_curve(probability, fractions=config.fractions)),
    )


def known(frame: pd.DataFrame, column: str) -> FloatArray:
    """The column's values that are known."""
    return np.asarray(frame[column].dropna(), dtype=np.float64)
