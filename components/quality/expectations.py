"""Great Expectations, imported quietly, and the one expectation it does not have: a lower confidence bound of a mean.

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
from great_expectations.expectations.expectation import ColumnAggregateExpectation
from great_expectations.expectations.metrics.column_aggregate_metric_provider import (
    ColumnAggregateMetricProvider,
    column_aggregate_value,
)
from great_expectations.expectations.registry import get_expectation_impl, list_registered_expectation_implementations

__all__ = [
    "ExpectColumnMeanLowerBoundToBeAbove",
    "ExpectationNotFoundError",
    "get_expectation_impl",
    "gx",
    "list_registered_expectation_implementations",
]


class ColumnMeanLowerBound(ColumnAggregateMetricProvider):
    """The lower end of the column mean's bootstrap interval; null below `min_rows` values."""

    metric_name = "column.mean_lower_bound"
    value_keys = ("min_rows", "confidence", "draws", "seed")

    @column_aggregate_value(engine=PandasExecutionEngine)
    def _pandas(cls, column: Any, *, min_rows: int, confidence: float, draws: int, seed: int, **_: object) -> float | None:  # noqa: N805
        values = np.asarray(column.dropna(), dtype=np.float64)
        if values.size < min_rows:
            return None
        return bootstrap_mean(values, draws=draws, confidence=confidence, seed=seed).low


class ExpectColumnMeanLowerBoundToBeAbove(ColumnAggregateExpectation):
    """Expect the seeded bootstrap interval of the column's mean to lie above `min_value` as a whole.

    With fewer than `min_rows` known values nothing is observed, and the check is inconclusive.
    """

    min_value: float
    min_rows: int = 1
    confidence: float = 0.95
    draws: int = 1000
    seed: int = 0

    metric_dependencies: ClassVar[tuple[str, ...]] = ("column.mean_lower_bound",)
    success_keys: ClassVar[tuple[str, ...]] = ("min_value", "min_rows", "confidence", "draws", "seed")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 (the library's signature)
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        bound = metrics["column.mean_lower_bound"]
        return {"success": bound is not None and bool(bound > self.min_value), "result": {"observed_value": bound}}
