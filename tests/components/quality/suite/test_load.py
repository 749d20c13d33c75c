"""Suites from YAML: nothing is dropped silently, and an error names the expectation and its line."""

from pathlib import Path
from typing import Any

import pytest

from components.common.errors import InputError
from components.quality import built_in_suites, column_names, load_suite, suite_for
from components.quality.suite.checks import requirement
from schemas.base import Severity
from schemas.config import QualityConfig
from schemas.quality import ExpectationSpec

GOOD = """\
name: mine
expectations:
  - type: expect_column_mean_to_be_between
    kwargs: {column: coverage, min_value: 0.9}
    severity: warning
    meta: {name: coverage}
  - type: expect_column_mean_lower_bound_to_be_above
    kwargs:
      column: margin_over_random
      min_value: 0.0
    severity: critical
    meta: {name: margin}
"""
CONDITION = '{type: comparison, column: {name: labl}, operator: "==", parameter: POS}'


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["default", "strict", "vision"])
def test_built_in_suites_load_whole(name: str) -> None:
    suite = load_suite(name)
    assert suite.spec.name == name
    assert len(suite.expectations) == len(suite.spec.expectations) >= 8
    assert [e.expectation_type for e in suite.expectations] == [e.type for e in suite.spec.expectations]
    assert all(e.meta.explanation for e in suite.spec.expectations)


def test_built_in_suites_are_listed() -> None:
    assert built_in_suites() == ["default", "strict", "vision"]


def test_a_suite_of_ones_own(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path, GOOD), columns=["coverage", "margin_over_random"])
    assert [e.meta.name for e in suite.spec.expectations] == ["coverage", "margin"]
    assert suite.expectations[1].min_value == 0.0
    assert requirement(suite.spec.expectations[0]) == "mean of coverage ≥ 0.9"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("type: expect_column_mean_to_be_between", "type: expect_column_maen_to_be_between", 3, "did you mean expect_column_me"),
        ("min_value: 0.9}", "min_vale: 0.9}", 4, "min_vale"),
        ("      min_value: 0.0\n", "      min_value: 0.0\n      colum: x\n", 11, "'colum'"),
        ("      min_value: 0.0\n", "", 8, "'min_value': field required"),
        ("      min_value: 0.0\n", "      min_value: high\n", 10, "not a valid float"),
        ("severity: warning", "severity: fatal", 5, "severity"),
        ("meta: {name: coverage}", "meta: {nmae: coverage}", 6, "meta"),
        ("severity: warning", "severty: warning", 5, "severty"),
        ("column: coverage", "column: covrage", 4, "no such column"),
        ("{column: coverage, min_value: 0.9}", "{column: coverage}", 4, "without min_value or max_value"),
        ("min_value: 0.9}", "min_value: 0.9, max_value: 0.1}", 4, "min_value is above max_value"),
        ("meta: {name: margin}", "meta: {name: coverage}", 12, "another expectation is called 'coverage' too"),
        ("severity: warning\n", "severity: warning\n    severity: info\n", 6, "the key 'severity' is given twice"),
        ("min_value: 0.9}", f"min_value: 0.9, row_condition: {CONDITION}}}", 4, "no such column\ngot: labl"),
        ("min_value: 0.9}", f"min_value: 0.9, row_condition: {{type: and, conditions: [{CONDITION}]}}}}", 4, "got: labl"),
        (
            "type: expect_column_mean_to_be_between\n    kwargs: {column: coverage, min_value: 0.9}",
            "type: expect_column_pair_values_a_to_be_greater_than_b\n    kwargs: {column_A: coverage, column_B: covrage}",
            4,
            "did you mean coverage?",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load_suite(path, columns=["coverage", "margin_over_random"])
    assert f"suite.yaml, line {line}:" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("name: mine\nexpectations: []\n", "line 2: expectations"),
        ("name: mine\n", "expectations: Field required"),
        ("- a\n- b\n", "line 1"),
        ("name: [mine\n", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match="suite") as caught:
        load_suite(write(tmp_path, text))
    assert words in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="allowed: auto, default, strict, vision, or the path"):
        load_suite("lenient")


def test_auto_is_the_suite_of_the_modality() -> None:
    assert [suite_for("auto", modality) for modality in ("text", "image")] == ["default", "vision"]
    assert suite_for("strict", "image") == "strict"
    assert suite_for("mine.yaml", "text") == "mine.yaml"


def test_the_built_in_suites_name_columns_that_exist_whatever_the_segments() -> None:
    columns = column_names(QualityConfig(), ["genre"])
    assert "segment_genre" in columns
    for name in built_in_suites():
        load_suite(name, columns=columns)
        load_suite(name, columns=column_names(QualityConfig(), []))


@pytest.mark.parametrize("name", ["default", "strict", "vision"])
def test_every_built_in_suite_asks_of_every_class_and_every_control(name: str) -> None:
    repeated = {e.for_each: e for e in load_suite(name).spec.expectations if e.for_each}
    assert set(repeated) == {"class", "segments", "control"}
    assert repeated["class"].severity is (Severity.CRITICAL if name == "strict" else Severity.WARNING)
    assert repeated["class"].severity_when_too_few is Severity.WARNING


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"type": "a:ExpectOwnThing", "kwargs": {"column": "x"}}, "own thing: column x"),
        ({"type": "expect_column_values_to_not_be_null"}, "column values to not be null"),
        (
            {
                "type": "expect_column_pair_values_a_to_be_greater_than_b",
                "kwargs": {"column_A": "insertion_auc", "column_B": "deletion_auc", "or_equal": True, "mostly": 0.5},
            },
            "insertion_auc ≥ deletion_auc in at least 50 % of the rows",
        ),
        (
            {
                "type": "expect_column_mean_to_be_between",
                "kwargs": {
                    "column": "x",
                    "max_value": 1,
                    "row_condition": {
                        "type": "and",
                        "conditions": [
                            {"type": "comparison", "column": {"name": "label"}, "operator": "==", "parameter": "POS"},
                            {"type": "nullity", "column": {"name": "y"}, "is_null": False},
                        ],
                    },
                },
            },
            "mean of x ≤ 1 where label = POS and y is known",
        ),
    ],
)
def test_requirements_in_words(spec: dict[str, Any], words: str) -> None:
    assert requirement(ExpectationSpec.model_validate(spec | {"meta": {"name": "e"}})) == words
