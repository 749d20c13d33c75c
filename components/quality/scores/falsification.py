"""Falsification in the quality report: its columns, the randomisation curve, and its wording."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from calig.metrics.perturbation import FloatArray
from components.common.intervals import FEWEST, mean_and_interval
from schemas.base import Interval
from schemas.config import QualityConfig
from schemas.quality import Falsification, FalsificationSummary, FalsifiedRow, RandomisationStage

#: Mean rank correlation with the original maps, all weights randomised, above which the maps are said not to fall. Adebayo et
#: al. give no number; this one is the project's own. Unrelated maps have a mean of 0 whatever their length.
LARGEST_LEFT = 0.5

#: Columns of the per-row table; empty for rows that were not sampled.
_COLUMNS: dict[str, Callable[[FalsifiedRow], float]] = {
    "max_sensitivity": lambda row: _number(row.max_sensitivity),
    "randomisation_correlation": lambda row: _mean([_number(value) for value in row.absolute]),
    "randomised_correlation": lambda row: _number(row.absolute[-1]) if row.absolute else np.nan,
}


def findings_of(numbers: Sequence[int], found: Falsification | None) -> dict[str, FloatArray]:
    """The columns of the attempt for rows of these numbers, whether or not there was one."""
    rows = {row.row: row for row in found.rows} if found else {}
    columns = {name: [value(rows[row]) if row in rows else np.nan for row in numbers] for name, value in _COLUMNS.items()}
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def summary_of(found: Falsification | None, config: QualityConfig) -> FalsificationSummary | None:
    """The report's part on the attempt; None when there was none to be made."""
    if found is None:
        return None
    stages = (_stage(name, index, found.rows, config) for index, name in enumerate(found.stages))
    return FalsificationSummary(row_ids=tuple(row.id for row in found.rows), stages=tuple(stages), problem=found.problem)


def warnings_of(summary: FalsificationSummary | None) -> list[str]:
    """Sentences for the report's first lines: the attempt broke, or it succeeded."""
    if summary is None:
        return []
    if summary.problem is not None:
        return [f"The run could not try to falsify its maps: {summary.problem}"]
    last = summary.stages[-1]
    left = (("sizes", last.absolute, last.absolute_interval), ("values", last.signed, last.signed_interval))
    return [_do_not_fall(*one, last.n) for one in left if one[2] is not None and one[2].low > LARGEST_LEFT][:1]


def _do_not_fall(what: str, mean: float | None, interval: Interval | None, n: int) -> str:
    span = f"{interval.low:.2f} to {interval.high:.2f}, " if interval else ""
    return (
        f"The maps do not fall when all weights are randomised: the rank correlation of their {what} with the original maps is "
        f"still {mean:.2f} ({span}{n} rows; limit {LARGEST_LEFT}, this project's own). They show the input more than what the "
        "model learned (Adebayo et al. 2018)."
    )


def _stage(name: str, index: int, rows: Sequence[FalsifiedRow], config: QualityConfig) -> RandomisationStage:
    signed, absolute = (
        _known([getattr(row, side)[index] for row in rows if index < len(getattr(row, side))]) for side in ("signed", "absolute")
    )
    (of_signed, signed_interval), (of_absolute, absolute_interval) = (_mean_and_interval(v, config) for v in (signed, absolute))
    return RandomisationStage(
        name=name,
        signed=of_signed,
        signed_interval=signed_interval,
        absolute=of_absolute,
        absolute_interval=absolute_interval,
        n=absolute.size,
    )


def _known(values: Sequence[float | None]) -> FloatArray:
    return np.array([value for value in values if value is not None], dtype=np.float64)


def _mean_and_interval(values: FloatArray, config: QualityConfig) -> tuple[float | None, Interval | None]:
    if not values.size:
        return None, None
    mean, interval = mean_and_interval(values, config)
    return mean, interval if values.size >= FEWEST else None


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _mean(values: Sequence[float]) -> float:
    """NaN when any value is: a mean over fewer stages would not be comparable."""
    return float(np.mean(values)) if values else np.nan
