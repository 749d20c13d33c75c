"""Expectations of the user's own, by import path: judged like the others, refused with the line when they cannot be."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from components import quality
from components.common.errors import InputError
from components.quality.suite.checks import run_checks
from components.quality.suite.expectations import get_expectation_impl
from schemas.base import CheckVerdict
from schemas.config import QualityConfig
from schemas.quality import Check

SUITE = """\
name: mine
expectations:
  - type: {type}
    for_each: class
    severity: warning
    meta: {{name: concentrated}}
"""
SUBCLASS = """\
import great_expectations.expectations as gxe


class ExpectConcentrated(gxe.ExpectColumnMeanToBeBetween):
    column: str = "gini"
    min_value: float = 0.4


class NotOne:
    pass
"""
WITH_METRIC = """\
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnAggregateExpectation
from great_expectations.expectations.metrics.column_aggregate_metric_provider import (
    ColumnAggregateMetricProvider,
    column_aggregate_value,
)


class Spread(ColumnAggregateMetricProvider):
    metric_name = "column.own_spread"

    @column_aggregate_value(engine=PandasExecutionEngine)
    def _pandas(cls, column, **kwargs):
        return float(column.max() - column.min())


class ExpectOwnSpread(ColumnAggregateExpectation):
    limit: float

    metric_dependencies = ("column.own_spread",)
    success_keys = ("limit",)

    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        spread = metrics["column.own_spread"]
        return {"success": spread <= self.limit, "result": {"observed_value": spread}}


class ExpectSilence(ExpectOwnSpread):
    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        return {"success": True, "result": {}}


class ExpectTrouble(ExpectOwnSpread):
    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        raise RuntimeError("no such luck")
"""
FRAME = pd.DataFrame({"label": ["POS"] * 40 + ["NEG"] * 30, "gini": np.repeat([0.5, 0.3], [40, 30])})


@pytest.fixture
def module(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A module name per test, forgotten afterwards with its expectations: both are known to the whole process."""
    name = f"own_{abs(hash(request.node.name))}"
    yield name
    forget(name)


def load_suite(path: str, **options: object) -> object:
    """The suite, with the modules that it names listed."""
    return quality.load_suite(path, modules=named_modules(path), **options)


def suite_digest(path: str) -> str:
    return quality.suite_digest(path, named_modules(path) if path.endswith(".yaml") else ())


def named_modules(path: str) -> list[str]:
    return re.findall(r"type: '?(\w+):", Path(path).read_text())


def forget(module: str) -> None:
    from great_expectations.expectations.registry import _registered_expectations

    sys.modules.pop(module, None)
    for type_ in [type_ for type_, known in _registered_expectations.items() if known.__module__ == module]:
        del _registered_expectations[type_]


def write(tmp_path: Path, type_: str, code: str | None = None) -> str:
    if code is not None:
        (tmp_path / f"{type_.partition(':')[0]}.py").write_text(code)
    (tmp_path / "suite.yaml").write_text(SUITE.format(type=type_))
    return str(tmp_path / "suite.yaml")


def judge(path: str) -> dict[str, Check]:
    checks = run_checks(load_suite(path, columns=list(FRAME.columns)), FRAME)
    return {check.slice.value if check.slice else "all": check for check in checks}


def with_limit(path: str, limit: float) -> str:
    text = Path(path).read_text().replace("    for_each", f"    kwargs: {{column: gini, limit: {limit}}}\n    for_each")
    Path(path).write_text(text.replace("    for_each: class\n", ""))
    return path


def test_a_subclass_beside_the_suite_is_judged_like_the_others(tmp_path: Path, module: str) -> None:
    before = list(sys.path)
    checks = judge(write(tmp_path, f"{module}:ExpectConcentrated", SUBCLASS))
    assert {value: check.verdict for value, check in checks.items()} == {"NEG": CheckVerdict.FAIL, "POS": CheckVerdict.PASS}
    assert checks["POS"].observed == pytest.approx(0.5)
    assert checks["POS"].requirement == "concentrated"
    assert sys.path == before


def test_one_with_a_metric_of_its_own(tmp_path: Path, module: str) -> None:
    path = write(tmp_path, f"{module}:ExpectOwnSpread", WITH_METRIC)
    check = judge(with_limit(path, 0.1))["all"]
    assert (check.verdict, check.observed) == (CheckVerdict.FAIL, pytest.approx(0.2))
    assert check.requirement == "own spread: column gini, limit 0.1"


@pytest.mark.parametrize(("name", "words"), [("ExpectSilence", "too few rows"), ("ExpectTrouble", "no such luck")])
def test_one_that_observes_nothing_or_breaks_is_never_a_pass(tmp_path: Path, module: str, name: str, words: str) -> None:
    check = judge(with_limit(write(tmp_path, f"{module}:{name}", WITH_METRIC), 9.0))["all"]
    assert check.verdict is CheckVerdict.INCONCLUSIVE
    assert words in str(check.observed)


@pytest.mark.parametrize(
    ("class_name", "code", "words"),
    [
        ("ExpectConcentrated", None, "ModuleNotFoundError"),
        (
            "ExpectConcentrated",
            "import no_such_thing_anywhere\n",
            "ModuleNotFoundError: No module named 'no_such_thing_anywhere'",
        ),
        ("ExpectConcentrated", "def broken(:\n", "SyntaxError"),
        ("ExpectConcentrated", "raise SystemExit(0)\n", "SystemExit"),
        ("ExpectMissing", SUBCLASS, "has no 'ExpectMissing'"),
        ("", SUBCLASS, "has no ''"),
        ("NotOne", SUBCLASS, "it is no Expectation"),
        ("gxe", SUBCLASS, "it is no Expectation"),
        ("ColumnAggregateExpectation", WITH_METRIC, "abstract"),
        ("ExpectColumnMeanToBeBetween", SUBCLASS.replace("ExpectConcentrated", "ExpectColumnMeanToBeBetween"), "has this name"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, module: str, class_name: str, code: str | None, words: str
) -> None:
    path = write(tmp_path, f"'{module}:{class_name}'")
    if code is not None:
        (tmp_path / f"{module}.py").write_text(code)
    built_in = get_expectation_impl("expect_column_mean_to_be_between")
    with pytest.raises(InputError) as caught:
        load_suite(path)
    assert "suite.yaml, line 3:" in str(caught.value)
    assert "expectation 'concentrated'" in str(caught.value)
    assert words in str(caught.value)
    assert get_expectation_impl("expect_column_mean_to_be_between") is built_in


def test_a_module_that_is_not_listed_is_not_imported(tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    path = write(tmp_path, f"{module}:ExpectConcentrated", f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n{SUBCLASS}")
    for refused in (quality.load_suite, quality.suite_digest):
        with pytest.raises(InputError, match=rf"(?s)line 3: .*not listed.*quality.expectation_modules: \[{module}\]"):
            refused(path)
    assert not ran.exists()
    assert quality.listed_modules(QualityConfig(expectation_modules=("mine",))) == {"mine"}
    monkeypatch.setenv("CALIG_EXPECTATION_MODULES", f"other, {module}")
    quality.load_suite(path, modules=quality.listed_modules(QualityConfig()))
    assert ran.exists()


def test_a_module_that_redefines_an_existing_expectation_changes_no_other_check(tmp_path: Path, module: str) -> None:
    clash = SUBCLASS + "\n\nclass ExpectColumnMeanToBeBetween(gxe.ExpectColumnMeanToBeBetween):\n    min_value: float = 0.0\n"
    built_in = get_expectation_impl("expect_column_mean_to_be_between")
    load_suite(write(tmp_path, f"{module}:ExpectConcentrated", clash))
    assert get_expectation_impl("expect_column_mean_to_be_between") is built_in


def test_an_argument_it_does_not_have_is_named(tmp_path: Path, module: str) -> None:
    path = Path(write(tmp_path, f"{module}:ExpectConcentrated", SUBCLASS))
    path.write_text(path.read_text().replace("    for_each", "    kwargs: {min_vale: 1}\n    for_each"))
    with pytest.raises(InputError, match=r"line 4: .*'min_vale'"):
        load_suite(str(path))


def test_a_column_it_brings_itself_is_checked_too(tmp_path: Path, module: str) -> None:
    path = write(tmp_path, f"{module}:ExpectConcentrated", SUBCLASS)
    with pytest.raises(InputError, match=r"(?s)line 3: .*no such column\ngot: gini"):
        load_suite(path, columns=["label"])


def test_the_digest_changes_with_the_suite_and_with_the_imported_code(tmp_path: Path, module: str) -> None:
    path = write(tmp_path, f"{module}:ExpectConcentrated", SUBCLASS)
    first = suite_digest(path)
    assert suite_digest(path) == first
    Path(path).write_text(Path(path).read_text() + "# a remark judges nothing\n")
    assert suite_digest(path) == first
    Path(path).write_text(Path(path).read_text().replace("severity: warning", "severity: critical"))
    edited = suite_digest(path)
    assert edited != first
    forget(module)
    (tmp_path / f"{module}.py").write_text(SUBCLASS.replace("0.4", "0.45"))
    assert suite_digest(path) != edited
    assert len({suite_digest(name) for name in ("default", "strict", "vision")}) == 3
