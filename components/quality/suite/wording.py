"""Expectations in words: `mean of coverage ≥ 0.9`."""

from __future__ import annotations

import re
from typing import Any

from schemas.suite import ExpectationSpec

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
