"""Great Expectations' results as checks: pass, fail, and above all when nothing could be judged."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from calig.metrics.statistics import bootstrap_mean
from components.quality import load_suite
from components.quality.suite.checks import overall, run_checks
from schemas.base import CheckVerdict, Severity
from schemas.quality import Check

PASS, FAIL, INCONCLUSIVE = CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE
MARGINS = np.random.default_rng(3).normal(0.2, 0.5, size=40)
FRAME = pd.DataFrame(
    {
        "residual_max": np.arange(40) / 1000,
        "coverage": [1.0] * 30 + [0.6] * 10,
        "margin": MARGINS,
        "empty": [np.nan] * 40,
        "half": [np.nan] * 20 + [1.0] * 20,
        "label": ["POS"] * 30 + ["NEG"] * 10,
        "flag": [0] * 39 + [1],
    }
)


def judge(tmp_path: Path, *expectations: dict[str, Any], frame: pd.DataFrame = FRAME) -> tuple[Check, ...]:
    named = [{"severity": "critical", "meta": {"name": f"e{i}"}} | e for i, e in enumerate(expectations)]
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "expectations": named}), encoding="utf-8")
    return run_checks(load_suite(str(path), columns=list(FRAME.columns)), frame)


def one(tmp_path: Path, type_: str, *, frame: pd.DataFrame = FRAME, meta: dict[str, str] | None = None, **kwargs: Any) -> Check:
    return judge(tmp_path, {"type": type_, "kwargs": kwargs, "meta": meta or {"name": "e"}}, frame=frame)[0]


def test_a_mean(tmp_path: Path) -> None:
    check = one(tmp_path, "expect_column_mean_to_be_between", column="coverage", min_value=0.9)
    assert (check.verdict, check.observed, check.requirement) == (PASS, pytest.approx(0.9), "mean of coverage ≥ 0.9")
    assert one(tmp_path, "expect_column_mean_to_be_between", column="coverage", min_value=0.91).verdict is FAIL


def test_a_maximum(tmp_path: Path) -> None:
    check = one(tmp_path, "expect_column_max_to_be_between", column="flag", max_value=0)
    assert (check.verdict, check.observed, check.requirement) == (FAIL, 1.0, "maximum of flag ≤ 0")


def test_a_quantile(tmp_path: Path) -> None:
    kwargs = {"quantile_ranges": {"quantiles": [0.95], "value_ranges": [[None, 0.02]]}, "allow_relative_error": "linear"}
    check = one(tmp_path, "expect_column_quantile_values_to_be_between", column="residual_max", **kwargs)
    assert check.verdict is FAIL
    assert check.observed == pytest.approx(np.quantile(FRAME["residual_max"], 0.95))
    assert check.requirement == "95 % quantile of residual_max ≤ 0.02"


def test_values_of_every_row(tmp_path: Path) -> None:
    check = one(tmp_path, "expect_column_values_to_be_between", column="coverage", min_value=0.7)
    assert (check.verdict, check.observed) == (FAIL, "10 of 40 rows outside")


def test_the_lower_bound_is_the_bootstrap_intervals_lower_end(tmp_path: Path) -> None:
    low = bootstrap_mean(MARGINS, draws=1000, confidence=0.95, seed=0).low
    type_ = "expect_column_mean_lower_bound_to_be_above"
    above = one(tmp_path, type_, column="margin", min_value=low - 1e-9)
    assert (above.verdict, above.observed) == (PASS, pytest.approx(low))
    assert one(tmp_path, type_, column="margin", min_value=low).verdict is FAIL  # above, not at
    assert MARGINS.mean() > low
    narrower = one(tmp_path, type_, column="margin", min_value=low, confidence=0.5)
    assert narrower.verdict is PASS
    assert narrower.requirement.startswith("50 % interval of the mean of margin above")


def test_the_lower_bound_needs_enough_known_values(tmp_path: Path) -> None:
    type_ = "expect_column_mean_lower_bound_to_be_above"
    assert one(tmp_path, type_, column="half", min_value=0.0, min_rows=20).verdict is PASS
    assert one(tmp_path, type_, column="half", min_value=0.0, min_rows=21).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("type_", "kwargs"),
    [
        ("expect_column_mean_to_be_between", {"min_value": -1}),
        ("expect_column_max_to_be_between", {"max_value": 1}),
        ("expect_column_values_to_be_between", {"max_value": 1}),
        ("expect_column_mean_lower_bound_to_be_above", {"min_value": -1}),
        (
            "expect_column_quantile_values_to_be_between",
            {"quantile_ranges": {"quantiles": [0.5], "value_ranges": [[None, 1]]}},
        ),
    ],
)
def test_a_column_without_values_is_never_a_pass(tmp_path: Path, type_: str, kwargs: dict[str, Any]) -> None:
    check = one(tmp_path, type_, column="empty", **kwargs)
    assert (check.verdict, check.observed) == (INCONCLUSIVE, "no row has a value of empty")
    nobody = {"type": "comparison", "column": {"name": "label"}, "operator": "==", "parameter": "NEUTRAL"}
    assert one(tmp_path, type_, column="margin", row_condition=nobody, **kwargs).verdict is INCONCLUSIVE
    only_empty = {"type": "comparison", "column": {"name": "label"}, "operator": "==", "parameter": "NEG"}
    some = FRAME.assign(margin=FRAME["margin"].where(FRAME["label"] == "POS"))
    assert one(tmp_path, type_, column="margin", row_condition=only_empty, frame=some, **kwargs).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("type_", "kwargs"),
    [
        ("expect_column_sum_to_be_between", {"max_value": 1}),
        ("expect_column_unique_value_count_to_be_between", {"max_value": 1}),
        ("expect_column_proportion_of_unique_values_to_be_between", {"max_value": 1}),
        ("expect_column_most_common_value_to_be_in_set", {"value_set": [1]}),
        ("expect_column_values_to_be_null", {}),
        (
            "expect_column_quantile_values_to_be_between",
            {"quantile_ranges": {"quantiles": [0.5, 0.9], "value_ranges": [[None, 1], [None, 1]]}},
        ),
    ],
)
@pytest.mark.parametrize("parameter", ["NEUTRAL", "NEG"], ids=["no row meets the condition", "none of these has a value"])
def test_nothing_under_a_condition_is_never_a_pass(tmp_path: Path, type_: str, kwargs: dict[str, Any], parameter: str) -> None:
    """The library calls an empty sum and an empty count 0 (great_expectations#2726), and nothing distinct unique."""
    condition = {"type": "comparison", "column": {"name": "label"}, "operator": "==", "parameter": parameter}
    some = FRAME.assign(margin=FRAME["margin"].where(FRAME["label"] == "POS"))
    check = one(tmp_path, type_, column="margin", row_condition=condition, frame=some, **kwargs)
    assert (check.verdict, check.observed) == (INCONCLUSIVE, "no row has a value of margin")


def test_a_pair_without_a_row_that_has_both_is_never_judged(tmp_path: Path) -> None:
    apart = FRAME.assign(margin=FRAME["margin"].where(FRAME["label"] == "POS"), half=FRAME["half"].where(FRAME["label"] == "NEG"))
    type_ = "expect_column_pair_values_a_to_be_greater_than_b"
    check = one(tmp_path, type_, column_A="margin", column_B="half", frame=apart)
    assert (check.verdict, check.observed) == (INCONCLUSIVE, "no row has a value of margin and half")
    unique = one(tmp_path, "expect_compound_columns_to_be_unique", column_list=["margin", "half"], frame=apart)
    assert unique.verdict is INCONCLUSIVE


def test_no_rows_is_never_a_pass(tmp_path: Path) -> None:
    checks = judge(
        tmp_path,
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 0}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "coverage", "min_value": 0}},
        frame=FRAME.iloc[:0],
    )
    assert [check.verdict for check in checks] == [INCONCLUSIVE] * 2


def test_too_few_rows_is_inconclusive_when_the_suite_says_so(tmp_path: Path) -> None:
    type_ = "expect_table_row_count_to_be_between"
    check = one(tmp_path, type_, min_value=41, meta={"name": "rows", "on_failure": "inconclusive"})
    assert (check.verdict, check.observed, check.requirement) == (INCONCLUSIVE, 40.0, "rows ≥ 41")
    assert one(tmp_path, type_, min_value=41).verdict is FAIL
    assert one(tmp_path, type_, min_value=40, meta={"name": "rows", "on_failure": "inconclusive"}).verdict is PASS


def test_a_condition_restricts_the_rows(tmp_path: Path) -> None:
    negative = {"type": "comparison", "column": {"name": "label"}, "operator": "==", "parameter": "NEG"}
    check = one(tmp_path, "expect_column_mean_to_be_between", column="coverage", min_value=0.9, row_condition=negative)
    assert (check.verdict, check.observed) == (FAIL, pytest.approx(0.6))


def test_what_the_library_cannot_compute_is_inconclusive_and_says_why(tmp_path: Path) -> None:
    check = one(tmp_path, "expect_column_mean_to_be_between", column="label", min_value=0)
    assert check.verdict is INCONCLUSIVE
    assert "could not be judged: Cannot perform reduction 'mean'" in str(check.observed)


def test_every_expectation_becomes_one_check_in_order(tmp_path: Path) -> None:
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "coverage", "min_value": 0.5}}
    maximum = {"type": "expect_column_max_to_be_between", "kwargs": {"column": "flag", "max_value": 0}, "severity": "warning"}
    checks = judge(tmp_path, mean, maximum, mean)  # the same expectation twice as well
    assert [check.name for check in checks] == ["e0", "e1", "e2"]
    assert [check.verdict for check in checks] == [PASS, FAIL, PASS]
    assert [check.severity for check in checks] == [Severity.CRITICAL, Severity.WARNING, Severity.CRITICAL]
    assert overall(checks) is PASS


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([(PASS, "critical"), (PASS, "critical")], PASS),
        ([(PASS, "critical"), (FAIL, "warning"), (FAIL, "info")], PASS),
        ([(PASS, "critical"), (INCONCLUSIVE, "warning")], PASS),
        ([(PASS, "critical"), (INCONCLUSIVE, "critical")], INCONCLUSIVE),
        ([(INCONCLUSIVE, "critical"), (FAIL, "critical")], FAIL),
    ],
)
def test_overall(outcomes: list[tuple[CheckVerdict, str]], expected: CheckVerdict) -> None:
    checks = [
        Check(name="e", expectation="t", verdict=verdict, severity=Severity(severity), observed=None, requirement="")
        for verdict, severity in outcomes
    ]
    assert overall(checks) is expected
