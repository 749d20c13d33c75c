"""Great Expectations, imported quietly, and the two expectations it does not have: the bounds of a mean's confidence interval.

Import this module inside functions only: Great Expectations takes seconds to load.
"""

from __future__ import annotations

import os
import warnings
from typing import Any, ClassVar

import numpy as np

from calig.metrics.statistics import bootstrap_mean

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when the library is imported

with warnings.catch_warnings():  # raised while the library imports itself and the cloud clients it probes for
    warnings.filterwarnings("ignore", message="Please install grpcio-status", category=ImportWarning)
    warnings.filterwarnings("ignore", message="module 'sre_(constants|parse)' is deprecated", category=DeprecationWarning)
    import great_expectations as gx

from great_expectations.exceptions.exceptions import ExpectationNotFoundError
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnAggregateExpectation, Expectation
from great_expectations.expectations.metrics.column_aggregate_metric_provider import (
    ColumnAggregateMetricProvider,
    column_aggregate_value,
)
from great_expectations.expectations.registry import (
    get_expectation_impl,
    list_registered_expectation_implementations,
    register_expectation,
)

__all__ = [
    "ExpectColumnMeanLowerBoundToBeAbove",
    "ExpectColumnMeanUpperBoundToBeAtLeast",
    "Expectation",
    "ExpectationNotFoundError",
    "get_expectation_impl",
    "gx",
    "list_registered_expectation_implementations",
    "register_expectation",
    "rows_judged",
]


def rows_judged(expectation: Any, frame: Any) -> Any:
    """The rows of `frame` that the expectation's `row_condition` keeps, as the library itself reads it; all without one."""
    condition = getattr(expectation, "row_condition", None)
    if condition is None:
        return frame
    engine = PandasExecutionEngine(batch_data_dict={"rows": frame})
    parser = getattr(expectation, "condition_parser", None)
    return engine.get_domain_records({"row_condition": condition, "condition_parser": parser, "column": ""})


class ColumnMeanInterval(ColumnAggregateMetricProvider):
    """The column mean's bootstrap interval, low and high; null below `min_rows` values."""

    metric_name = "column.mean_interval"
    value_keys = ("min_rows", "confidence", "draws", "seed")

    @column_aggregate_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805
        column: Any,
        *,
        min_rows: int,
        confidence: float,
        draws: int,
        seed: int,
        **_: object,
    ) -> tuple[float, float] | None:
        values = np.asarray(column.dropna(), dtype=np.float64)
        if values.size < min_rows:
            return None
        mean = bootstrap_mean(values, draws=draws, confidence=confidence, seed=seed)
        return mean.low, mean.high


class _ExpectColumnMeanInterval(ColumnAggregateExpectation):
    """What the two below share. With fewer than `min_rows` known values nothing is observed: the check is inconclusive."""

    min_value: float
    min_rows: int = 1
    confidence: float = 0.95
    draws: int = 1000
    seed: int = 0

    metric_dependencies: ClassVar[tuple[str, ...]] = ("column.mean_interval",)
    success_keys: ClassVar[tuple[str, ...]] = ("min_value", "min_rows", "confidence", "draws", "seed")


class ExpectColumnMeanLowerBoundToBeAbove(_ExpectColumnMeanInterval):
    """Expect the seeded bootstrap interval of the column's mean to lie above `min_value` as a whole: surely larger."""

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 (the library's signature)
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        low, _ = metrics["column.mean_interval"] or (None, None)
        return {"success": low is not None and bool(low > self.min_value), "result": {"observed_value": low}}


class ExpectColumnMeanUpperBoundToBeAtLeast(_ExpectColumnMeanInterval):
    """Expect the seeded bootstrap interval of the column's mean not to lie below `min_value` as a whole: not surely smaller."""

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 (the library's signature)
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        _, high = metrics["column.mean_interval"] or (None, None)
        return {"success": high is not None and bool(high >= self.min_value), "result": {"observed_value": high}}
