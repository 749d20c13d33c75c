"""Suites from YAML: nothing is dropped silently, and an error names the expectation and its line."""

from pathlib import Path

import pytest

from components.errors import InputError
from components.quality import built_in_suites, load_suite
from components.quality.checks import requirement

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


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["default", "strict"])
def test_built_in_suites_load_whole(name: str) -> None:
    suite = load_suite(name)
    assert suite.spec.name == name
    assert len(suite.expectations) == len(suite.spec.expectations) >= 8
    assert [e.expectation_type for e in suite.expectations] == [e.type for e in suite.spec.expectations]
    assert all(e.meta.explanation for e in suite.spec.expectations)


def test_built_in_suites_are_listed() -> None:
    assert built_in_suites() == ["default", "strict"]


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
    with pytest.raises(InputError, match="allowed: default, strict, or the path"):
        load_suite("lenient")
