"""Running a suite over the per-row table: one check per expectation and slice, in words, and the overall verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from components.quality.scores.frame import OF_CLASSES, Table
from components.quality.suite.build import Single, columns_of, condition_columns, expand, for_control
from components.quality.suite.load import LoadedSuite
from schemas.base import CheckVerdict, Severity
from schemas.quality import Check, ExpectationSpec

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
_INTERVALS = {
    "expect_column_mean_lower_bound_to_be_above": "{level:g} % interval of the mean of {column} above {min_value}",
    "expect_column_mean_upper_bound_to_be_at_least": "{level:g} % interval of the mean of {column} not below {min_value}",
}
_PAIR = "expect_column_pair_values_a_to_be_greater_than_b"


def requirement(spec: ExpectationSpec, changes: dict[str, Any] | None = None) -> str:
    """What `spec` requires, in words; `changes` replace some of its arguments, as those of one control."""
    kwargs = spec.kwargs | (changes or {})
    return f"{_demand(spec.type, kwargs)}{_where(kwargs)}"


def _demand(type_: str, kwargs: dict[str, Any]) -> str:
    if "quantile_ranges" in kwargs:
        return _quantiles(kwargs)
    if type_ in _INTERVALS:
        return _INTERVALS[type_].format(level=100 * kwargs.get("confidence", 0.95), **kwargs)
    if type_ in _SUBJECTS:
        subject = _SUBJECTS[type_].format(column=kwargs.get("column"))
        return f"{subject} {_range(kwargs.get('min_value'), kwargs.get('max_value'), kwargs)}"
    if type_ == _PAIR:
        sign = "≥" if kwargs.get("or_equal") else ">"
        return f"{kwargs['column_A']} {sign} {kwargs['column_B']} in {_share(kwargs.get('mostly', 1.0))}"
    arguments = ", ".join(f"{name} {value}" for name, value in kwargs.items() if name != "row_condition")
    return f"{_type_in_words(type_)}: {arguments}" if arguments else _type_in_words(type_)


def _type_in_words(type_: str) -> str:
    """`expect_column_mean_to_be_between` and `my.module:ExpectSparse` without the expecting."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type_.rpartition(":")[2]).lower()
    return snake.removeprefix("expect_").replace("_", " ")


def _share(mostly: float) -> str:
    return "every row" if mostly >= 1.0 else f"at least {100 * mostly:g} % of the rows"


def _quantiles(kwargs: dict[str, Any]) -> str:
    ranges = kwargs["quantile_ranges"]
    pairs = zip(ranges["quantiles"], ranges["value_ranges"], strict=True)
    return ", ".join(f"{100 * q:g} % quantile of {kwargs['column']} {_range(low, high, {})}" for q, (low, high) in pairs)


def _range(low: float | None, high: float | None, kwargs: dict[str, Any]) -> str:
    above, below = (">" if kwargs.get("strict_min") else "≥"), ("<" if kwargs.get("strict_max") else "≤")
    bounds = [f"{sign} {bound}" for sign, bound in ((above, low), (below, high)) if bound is not None]
    return " and ".join(bounds)


def _where(kwargs: dict[str, Any]) -> str:
    return f" where {_condition(kwargs['row_condition'])}" if kwargs.get("row_condition") else ""


def _condition(condition: Any) -> str:
    """A condition of Great Expectations in words; its text as it stands when it is of another form."""
    match condition:
        case {"type": "comparison", "column": {"name": name}, "operator": operator, "parameter": parameter}:
            return f"{name} {'=' if operator == '==' else operator} {parameter}"
        case {"type": "nullity", "column": {"name": name}, "is_null": is_null}:
            return f"{name} is {'unknown' if is_null else 'known'}"
        case {"type": "and" | "or" as joint, "conditions": [*parts]}:
            return f" {joint} ".join(_condition(part) for part in parts)
        case _:
            return str(condition)


def run_checks(suite: LoadedSuite, frame: Table, *, problem_type: str = "single_label_classification") -> tuple[Check, ...]:
    """Judge every expectation of `suite` on `frame` (one line per row), in their order.

    An expectation is one check, or with `for_each` one per class, segment or control. One that has nothing to be repeated for
    is a single check that does not apply (no segments at all) or is inconclusive (a segment without values). What speaks of
    classes does not apply to a regression; a critical one is inconclusive there: what was to decide has not been judged.
    """
    pairs = list(zip(suite.spec.expectations, suite.expectations, strict=True))
    if not len(frame):
        return tuple(_check(Single(*pair), CheckVerdict.INCONCLUSIVE, "no rows to judge by") for pair in pairs)
    asset = _asset()
    found: list[Check] = []
    for pair in pairs:
        of_classes = _of_classes(*pair) if problem_type == "regression" else None
        found += (
            _checks(*pair, asset, frame, problem_type) if of_classes is None else [_without_classes(Single(*pair), of_classes)]
        )
    return tuple(found)


def _of_classes(spec: ExpectationSpec, expectation: Any) -> str | None:
    """What an expectation asks for that a regression has not: its classes, or a column; None: nothing."""
    if spec.for_each == "class":
        return "classes"
    asked = {column for of in columns_of(expectation).values() for column in of}
    asked |= set(condition_columns(spec.kwargs.get("row_condition")))
    return next((f"values of {column}" for column in sorted(asked & OF_CLASSES)), None)


def _without_classes(single: Single, missing: str) -> Check:
    critical = single.spec.severity is Severity.CRITICAL
    verdict = CheckVerdict.INCONCLUSIVE if critical else CheckVerdict.NOT_APPLICABLE
    step = ": take it out of the suite for this model, or make it a warning" if critical else ""
    return _check(single, verdict, f"a regression has no {missing}{step}")


def overall(checks: Sequence[Check]) -> CheckVerdict:
    """Fail if a critical check fails; else inconclusive if a critical one could not be judged; else pass."""
    critical = {check.verdict for check in checks if check.severity is Severity.CRITICAL}
    for verdict in (CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE):
        if verdict in critical:
            return verdict
    return CheckVerdict.PASS


def _asset() -> Any:
    """What Great Expectations takes a table of scored rows for."""
    from great_expectations.data_context.types.base import ProgressBarsConfig

    from components.quality.suite.expectations import gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("quality").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("all")


def _checks(spec: ExpectationSpec, expectation: Any, asset: Any, frame: Table, problem_type: str) -> Iterator[Check]:
    singles = expand(spec, expectation, frame, several_labels=problem_type == "multi_label_classification")
    if not singles and spec.for_each == "segments":
        yield _check(Single(spec, expectation), CheckVerdict.NOT_APPLICABLE, "the data set has no segments")
    elif not singles:
        yield _check(Single(spec, expectation), CheckVerdict.INCONCLUSIVE, f"no row has a value of {spec.for_each}")
    for single in singles:
        if single.slice is not None and single.slice.n < spec.min_rows:
            yield _not_judged(single, single.slice.n)
        else:
            yield _judge(single, asset, frame[single.columns(frame.columns)])


def _not_judged(single: Single, n: int) -> Check:
    observed = f"not judged: {n} row{'' if n == 1 else 's'}, fewer than {single.spec.min_rows}"
    return _check(single, CheckVerdict.INCONCLUSIVE, observed).model_copy(update={"severity": single.spec.severity_when_too_few})


def _judge(single: Single, asset: Any, frame: Any) -> Check:
    """The check on a frame that has the columns it looks at."""
    result = asset.get_batch({"dataframe": frame}).validate(single.expectation).to_json_dict()
    problem = _exception(result["exception_info"])
    if problem is not None:
        return _check(single, CheckVerdict.INCONCLUSIVE, f"could not be judged: {problem}")
    unknown = _unknown(single.expectation, frame)
    if unknown is not None:
        return _check(single, CheckVerdict.INCONCLUSIVE, f"no row has a value of {unknown}")
    outcome = result["result"]
    if _nothing_observed(outcome):
        return _check(single, CheckVerdict.INCONCLUSIVE, "too few rows have a value")
    verdict = CheckVerdict.PASS if result["success"] else CheckVerdict(single.spec.meta.on_failure)
    return _check(single, verdict, _observed(outcome))


def _unknown(expectation: Any, frame: Any) -> str | None:
    """The column, or columns, of which no judged row has a value; None when some row has one of each.

    Over nothing, a sum and a count of distinct values are 0 and uniqueness holds: the library would call that a success.
    """
    from components.quality.suite.expectations import rows_judged

    columns = [column for of in columns_of(expectation).values() for column in of]
    known = rows_judged(expectation, frame)[columns].notna()
    if not columns or known.all(axis=1).any():
        return None
    return next((column for column in columns if not known[column].any()), " and ".join(columns))


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


def _check(single: Single, verdict: CheckVerdict, observed: float | str | None) -> Check:
    part = single.slice
    of_control = for_control(single.expectation, part.value) if part is not None and part.by == "control" else {}
    return Check(
        name=single.name,
        expectation=single.spec.type,
        verdict=verdict,
        severity=single.spec.severity,
        observed=observed,
        requirement=requirement(single.spec, of_control),
        explanation=single.spec.meta.explanation,
        slice=part,
    )
