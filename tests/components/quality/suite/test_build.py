"""One expectation for many classes, segments or controls: each judged by itself, and never where there are too few rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from calig.metrics.statistics import bootstrap_mean
from components.common.errors import InputError
from components.quality import load_suite
from components.quality.scores.frame import CONTROLS
from components.quality.suite.checks import overall, run_checks
from schemas.base import CheckVerdict, Severity
from schemas.quality import Check, Slice

PASS, FAIL, INCONCLUSIVE = CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE
LABELS = ["POS"] * 50 + ["NEG"] * 40 + ['it\'s "odd" \\ Ω'] * 30 + ["RARE"] * 10
RANDOM = np.random.default_rng(1)
MARGIN = np.where(np.array(LABELS) == "NEG", -0.3, 0.3) + RANDOM.normal(0, 0.2, size=130)
FRAME = pd.DataFrame(
    {
        "label": LABELS,
        "predicted": ["POS", "NEG"] * 65,
        "segment_site": ["a", "b"] * 60 + [None] * 10,
        "segment_film genre": ["comedy"] * 100 + ["drama"] * 30,
        "margin": MARGIN,
        "half": np.where(np.arange(130) % 2 == 0, 1.0, np.nan),
        **{f"margin_over_{name}": MARGIN for name in CONTROLS if name != "layer_ig_mean"},
    }
)
MARGIN_OF_CLASS = {
    "type": "expect_column_mean_lower_bound_to_be_above",
    "kwargs": {"column": "margin", "min_value": 0.0},
    "for_each": "class",
}


def suite(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "suite.yaml"
    one = {"meta": {"name": "margin", "explanation": "why"}} | MARGIN_OF_CLASS | changes
    path.write_text(yaml.safe_dump({"name": "mine", "expectations": [one]}), encoding="utf-8")
    return str(path)


def judge(tmp_path: Path, *, frame: pd.DataFrame = FRAME, **changes: Any) -> dict[str, Check]:
    checks = run_checks(load_suite(suite(tmp_path, **changes), columns=list(FRAME.columns)), frame)
    return {check.slice.value if check.slice else "all": check for check in checks}


def test_every_class_is_judged_on_its_own_rows(tmp_path: Path) -> None:
    checks = judge(tmp_path)
    assert list(checks) == sorted(set(LABELS))
    for value, check in checks.items():
        if value == "RARE":
            continue
        own = MARGIN[np.array(LABELS) == value]
        assert check.observed == pytest.approx(bootstrap_mean(own, draws=1000, confidence=0.95, seed=0).low)
        assert check.verdict is (FAIL if value == "NEG" else PASS)
        assert check.slice == Slice(group="margin", by="class", value=value, n=own.size)
        assert check.name == f"margin: {value}"
        assert check.explanation == "why"


def test_too_few_rows_are_shown_and_never_a_pass(tmp_path: Path) -> None:
    rare = judge(tmp_path)["RARE"]
    assert (rare.verdict, rare.severity) == (INCONCLUSIVE, Severity.WARNING)
    assert rare.observed == "not judged: 10 rows, fewer than 30"
    assert judge(tmp_path, min_rows=10)["RARE"].verdict is PASS
    assert judge(tmp_path, min_rows=11)["RARE"].verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("changes", "severity", "version"),
    [
        ({}, Severity.WARNING, PASS),
        ({"too_few": "critical"}, Severity.CRITICAL, INCONCLUSIVE),
        ({"too_few": "info"}, Severity.INFO, PASS),
        ({"severity": "warning"}, Severity.WARNING, PASS),
        ({"severity": "info"}, Severity.INFO, PASS),
        ({"severity": "warning", "too_few": "critical"}, Severity.CRITICAL, INCONCLUSIVE),
    ],
)
def test_the_suite_decides_what_too_few_rows_do(
    tmp_path: Path, changes: dict[str, str], severity: Severity, version: Any
) -> None:
    checks = judge(tmp_path, frame=FRAME[FRAME["label"].isin(["POS", "RARE"])], **changes)
    assert (checks["RARE"].verdict, checks["RARE"].severity) == (INCONCLUSIVE, severity)
    assert checks["POS"].severity is Severity(changes.get("severity", "critical"))
    assert overall(list(checks.values())) is version


def test_rows_without_a_value_do_not_count(tmp_path: Path) -> None:
    checks = judge(tmp_path, kwargs={"column": "half", "min_value": 0.0})
    assert checks["POS"].slice is not None
    assert (checks["POS"].slice.n, checks["POS"].verdict) == (25, INCONCLUSIVE)


def test_without_labels_the_predicted_class_counts(tmp_path: Path) -> None:
    assert list(judge(tmp_path, frame=FRAME.assign(label=None))) == ["NEG", "POS"]
    some = FRAME.assign(label=FRAME["label"].where(FRAME["label"] == "POS"))
    assert list(judge(tmp_path, frame=some)) == ["POS"]


def test_one_segment_and_all_segments(tmp_path: Path) -> None:
    assert list(judge(tmp_path, for_each="segment_site")) == ["site a", "site b"]
    checks = judge(tmp_path, for_each="segments")
    assert list(checks) == ["film genre comedy", "film genre drama", "site a", "site b"]
    assert checks["site a"].slice == Slice(group="margin", by="segment", value="site a", n=60)
    low = bootstrap_mean(MARGIN[:120:2], draws=1000, confidence=0.95, seed=0).low
    assert checks["site a"].observed == pytest.approx(low)


def test_no_segments_do_not_apply_and_one_without_values_is_inconclusive(tmp_path: Path) -> None:
    bare = FRAME[["label", "predicted", "margin"]]
    (none,) = judge(tmp_path, frame=bare, for_each="segments").values()
    assert (none.verdict, none.observed) == (CheckVerdict.NOT_APPLICABLE, "the data set has no segments")
    (empty,) = judge(tmp_path, frame=FRAME.assign(segment_site=None), for_each="segment_site").values()
    assert (empty.verdict, empty.severity) == (INCONCLUSIVE, Severity.CRITICAL)


def test_a_control_that_beats_ca_lig_beyond_its_interval(tmp_path: Path) -> None:
    beaten = FRAME.assign(margin_over_plain_ig=-np.abs(MARGIN), margin_over_random=RANDOM.normal(-0.001, 0.2, size=130))
    kwargs = {"column": "margin_over_{control}", "min_value": 0.0}
    type_ = "expect_column_mean_upper_bound_to_be_at_least"
    checks = judge(tmp_path, frame=beaten, type=type_, kwargs=kwargs, for_each="control", severity="warning")
    assert list(checks) == [name for name in CONTROLS if name != "layer_ig_mean"]  # the table has no such column
    assert [name for name, check in checks.items() if check.verdict is FAIL] == ["plain_ig"]
    high = bootstrap_mean(-np.abs(MARGIN), draws=1000, confidence=0.95, seed=0).high
    assert checks["plain_ig"].observed == pytest.approx(high)
    assert checks["plain_ig"].requirement == "95 % interval of the mean of margin_over_plain_ig not below 0.0"
    assert beaten["margin_over_random"].mean() < 0  # worse on average, but not beyond the interval
    assert overall(list(checks.values())) is PASS


def test_no_rows_at_all_are_one_inconclusive_check(tmp_path: Path) -> None:
    (check,) = judge(tmp_path, frame=FRAME.iloc[:0]).values()
    assert (check.verdict, check.slice) == (INCONCLUSIVE, None)


def test_other_types_can_be_repeated_too(tmp_path: Path) -> None:
    counts = judge(tmp_path, type="expect_table_row_count_to_be_between", kwargs={"min_value": 45})
    assert (counts["POS"].observed, counts["POS"].verdict) == (50.0, PASS)
    assert (counts["NEG"].observed, counts["NEG"].verdict) == (40.0, FAIL)
    values = judge(tmp_path, type="expect_column_values_to_be_between", kwargs={"column": "margin", "max_value": 0.0})
    assert values["POS"].observed == f"{(MARGIN[:50] > 0).sum()} of 50 rows outside"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"for_each": "clas"},
            "'clas' is nothing to repeat an expectation for; allowed: class, segments, segment_<name>, control",
        ),
        ({"for_each": "segment_sight"}, "no such segment\ngot: segment_sight\nallowed: segment_site, segment_film genre"),
        ({"for_each": "control"}, "no column names the control"),
        ({"for_each": "control", "kwargs": {"column": "margn_over_{control}", "min_value": 0.0}}, "no such column"),
        ({"kwargs": {"column": "margin", "min_value": 0.0, "row_condition": {"type": "nullity"}}}, "give one of the two"),
        ({"min_rows": 0}, "greater than or equal to 1"),
        ({"too_few": "fatal"}, "'critical', 'warning' or 'info'"),
        ({"for_eech": "class"}, "for_eech: Extra inputs"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = suite(tmp_path, **changes)
    text = Path(path).read_text().splitlines()
    with pytest.raises(InputError) as caught:
        load_suite(path, columns=list(FRAME.columns))
    line = int(str(caught.value).split("line ")[1].split(":")[0])
    assert words in str(caught.value)
    named = "column" if "margn" in str(changes) else "for_each" if "row_condition" in str(changes) else next(iter(changes))
    assert text[line - 1].strip(" -").startswith(named)


@pytest.mark.parametrize("key", ["min_rows", "too_few"])
def test_what_only_repeated_expectations_have(tmp_path: Path, key: str) -> None:
    path = Path(suite(tmp_path, **{key: 30 if key == "min_rows" else "critical"}))
    path.write_text(path.read_text().replace("for_each: class\n  ", ""))
    with pytest.raises(InputError, match=f"{key}: it only has a meaning together with for_each"):
        load_suite(str(path))
