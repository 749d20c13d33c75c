"""Running an expectation suite over the per-row table: one check per expectation, and the overall verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.quality.suite import LoadedSuite
from schemas.base import CheckVerdict, Severity
from schemas.quality import Check
from schemas.suite import ExpectationSpec

if TYPE_CHECKING:
    import pandas as pd

#: What an expectation measures, in words; others are described by their type.
_SUBJECTS = {
    "expect_table_row_count_to_be_between": "rows",
    "expect_column_mean_to_be_between": "mean of {column}",
    "expect_column_max_to_be_between": "maximum of {column}",
    "expect_column_min_to_be_between": "minimum of {column}",
    "expect_column_median_to_be_between": "median of {column}",
    "expect_column_sum_to_be_between": "sum of {column}",
    "expect_column_values_to_be_between": "{column} of every row",
}


def run_checks(suite: LoadedSuite, frame: pd.DataFrame) -> tuple[Check, ...]:
    """Judge every expectation of `suite` on `frame` (one line per row); as many checks as expectations, in their order."""
    if frame.empty:
        return tuple(_check(spec, CheckVerdict.INCONCLUSIVE, "no rows to judge by") for spec in suite.spec.expectations)
    batch = _batch(frame)
    pairs = zip(suite.spec.expectations, suite.expectations, strict=True)
    return tuple(_judge(spec, batch.validate(expectation).to_json_dict(), frame) for spec, expectation in pairs)


def overall(checks: Sequence[Check]) -> CheckVerdict:
    """Fail if a critical check fails; else inconclusive if a critical one could not be judged; else pass."""
    critical = {check.verdict for check in checks if check.severity is Severity.CRITICAL}
    for verdict in (CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE):
        if verdict in critical:
            return verdict
    return CheckVerdict.PASS


def _batch(frame: pd.DataFrame) -> Any:
    from great_expectations.data_context.types.base import ProgressBarsConfig

    from components.quality.expectations import gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("quality").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})


def _judge(spec: ExpectationSpec, result: dict[str, Any], frame: pd.DataFrame) -> Check:
    problem = _exception(result["exception_info"])
    if problem is not None:
        return _check(spec, CheckVerdict.INCONCLUSIVE, f"could not be judged: {problem}")
    column = spec.kwargs.get("column")
    outcome = result["result"]
    if column is not None and frame[column].isna().all():
        return _check(spec, CheckVerdict.INCONCLUSIVE, f"no row has a value of {column}")
    if _nothing_observed(outcome):
        return _check(spec, CheckVerdict.INCONCLUSIVE, "too few rows have a value")
    if result["success"]:
        return _check(spec, CheckVerdict.PASS, _observed(outcome))
    return _check(spec, CheckVerdict(spec.meta.on_failure), _observed(outcome))


def _exception(info: dict[str, Any]) -> str | None:
    """The message of an exception inside the library, which reports one plainly or one per metric."""
    parts = [info] if "raised_exception" in info else list(info.values())
    return next((str(part["exception_message"]) for part in parts if part["raised_exception"]), None)


def _nothing_observed(outcome: dict[str, Any]) -> bool:
    """Whether there was nothing to judge: no observed value, or only missing elements."""
    if "element_count" in outcome:
        return bool(outcome["element_count"] == outcome.get("missing_count", 0))
    return _observed(outcome) is None


def _observed(outcome: dict[str, Any]) -> float | str | None:
    """The observed value as a number where there is one."""
    if "unexpected_percent" in outcome and "observed_value" not in outcome:
        return f"{outcome['unexpected_count']} of {outcome['element_count']} rows outside"
    value = outcome.get("observed_value")
    if isinstance(value, dict) and "values" in value:
        value = value["values"][0] if len(value["values"]) == 1 else value["values"]
    if isinstance(value, (int, float)):
        return float(value) if math.isfinite(value) else None
    return None if value is None else str(value)


def _check(spec: ExpectationSpec, verdict: CheckVerdict, observed: float | str | None) -> Check:
    return Check(
        name=spec.meta.name,
        expectation=spec.type,
        verdict=verdict,
        severity=spec.severity,
        observed=observed,
        requirement=requirement(spec),
        explanation=spec.meta.explanation,
    )


def requirement(spec: ExpectationSpec) -> str:
    """What an expectation requires, in words, e.g. `mean of coverage ≥ 0.9`."""
    kwargs = spec.kwargs
    if "quantile_ranges" in kwargs:
        return f"{_quantiles(kwargs)}{_where(kwargs)}"
    if spec.type == "expect_column_mean_lower_bound_to_be_above":
        level = 100 * kwargs.get("confidence", 0.95)
        return f"{level:g} % interval of the mean of {kwargs['column']} above {kwargs['min_value']}{_where(kwargs)}"
    if spec.type in _SUBJECTS:
        subject = _SUBJECTS[spec.type].format(column=kwargs.get("column"))
        return f"{subject} {_range(kwargs.get('min_value'), kwargs.get('max_value'), kwargs)}{_where(kwargs)}"
    arguments = ", ".join(f"{name} {value}" for name, value in kwargs.items())
    return f"{spec.type.removeprefix('expect_').replace('_', ' ')}: {arguments}"


def _quantiles(kwargs: dict[str, Any]) -> str:
    ranges = kwargs["quantile_ranges"]
    pairs = zip(ranges["quantiles"], ranges["value_ranges"], strict=True)
    return ", ".join(f"{100 * q:g} % quantile of {kwargs['column']} {_range(low, high, {})}" for q, (low, high) in pairs)


def _range(low: float | None, high: float | None, kwargs: dict[str, Any]) -> str:
    above, below = (">" if kwargs.get("strict_min") else "≥"), ("<" if kwargs.get("strict_max") else "≤")
    bounds = [f"{sign} {bound}" for sign, bound in ((above, low), (below, high)) if bound is not None]
    return " and ".join(bounds)


def _where(kwargs: dict[str, Any]) -> str:
    return f" where {kwargs['row_condition']}" if kwargs.get("row_condition") else ""
