"""What the attempt to falsify the maps becomes in the quality report, and infidelity row by row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calig.metrics.perturbation import Perturbation
from schemas.base import CheckVerdict
from schemas.config import QualityConfig
from schemas.quality import Falsification, QualityReport, ScorerRecord
from tests.helpers.attribution_tables import LABELS, MASK, BagOfWords, attribution_row, problem_row, write_table
from tests.helpers.judged import evaluate, scored_frame
from tests.helpers.sample_falsification import falsification

MODEL = BagOfWords()
CONFIG = QualityConfig(bootstrap_draws=200)
REMOVAL = Perturbation("replace", MASK)
CHECK = "maps fall when the model forgets"


def rows(**changes: Any) -> list[dict[str, Any]]:
    return [attribution_row(row, model=MODEL, n_content=6 + row % 9, **changes) for row in range(40)]


def judge(paths: list[Path], found: Falsification | None) -> QualityReport:
    record = ScorerRecord(runtime="torch", providers=("cpu",))
    return evaluate(
        paths, labels=LABELS, scorer=MODEL, scorer_record=record, config=CONFIG, perturbation=REMOVAL, falsification=found
    )


def frame_of(paths: list[Path]) -> Any:
    return scored_frame(paths, labels=LABELS, scorer=MODEL, config=CONFIG, perturbation=REMOVAL)


def additive(paths: list[Path]) -> Any:
    """The rows explained toward the class whose logit is the sum of the weights; the other class's is always 0."""
    frame = frame_of(paths)
    return frame[frame["predicted"] == "POS"]


def verdict(report: QualityReport) -> CheckVerdict:
    return next(check.verdict for check in report.checks if check.name == CHECK)


def value(report: QualityReport, name: str) -> tuple[float | None, int]:
    return next((metric.value, metric.n) for metric in report.metrics if metric.name == name)


def test_findings_are_metrics_curve_and_check(tmp_path: Path) -> None:
    found = falsification({1: (0.01, 0.4, 0.1), 2: (0.02, 0.2, -0.1), 7: (0.06, 0.3, None)})
    report = judge(write_table(tmp_path, rows()), found)
    assert value(report, "max-sensitivity") == (pytest.approx(0.03), 3)
    assert value(report, "correlation, all randomised") == (pytest.approx(0.0), 2)
    assert value(report, "randomisation correlation") == (pytest.approx((0.25 + 0.05) / 2), 2), "row 7 lacks a stage"
    assert verdict(report) is CheckVerdict.PASS
    assert report.warnings == ()
    assert report.falsification.row_ids == ("r1", "r2", "r7")
    head, everything = report.falsification.stages
    assert (head.name, head.absolute, head.n) == ("head", pytest.approx(0.3), 3)
    assert (everything.absolute, everything.signed, everything.n) == (pytest.approx(0.0), pytest.approx(-0.05), 2)
    assert head.absolute_interval.low <= head.absolute <= head.absolute_interval.high
    assert QualityReport.model_validate_json(report.model_dump_json()) == report


def test_maps_that_stay_are_named_first_and_fail_the_check_as_a_warning(tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, rows()), falsification({row: (0.01, 0.9, 0.7 + row / 100) for row in range(10)}))
    assert verdict(report) is CheckVerdict.FAIL
    assert report.verdict is CheckVerdict.PASS
    assert "do not fall when all weights are randomised" in report.warnings[0]
    assert "still 0.74 (0.7" in report.warnings[0]


def test_a_mean_above_the_limit_that_is_not_sure_is_no_warning_sentence(tmp_path: Path) -> None:
    found = falsification({row: (0.01, 0.9, 0.1 if row % 3 == 0 else 0.9) for row in range(6)})
    report = judge(write_table(tmp_path, rows()), found)
    assert verdict(report) is CheckVerdict.FAIL
    assert report.warnings == ()


def test_an_attempt_that_broke_is_said_and_its_check_inconclusive(tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, rows()), Falsification(problem="RuntimeError: out of memory"))
    assert verdict(report) is CheckVerdict.INCONCLUSIVE
    assert report.warnings == ("The run could not try to falsify its maps: RuntimeError: out of memory",)
    assert value(report, "max-sensitivity") == (None, 0)
    assert report.verdict is CheckVerdict.PASS, "the check is a warning; the report says that it was not made"


def test_without_an_attempt_there_is_no_metric_and_the_check_is_inconclusive(tmp_path: Path) -> None:
    report = judge(write_table(tmp_path, rows()), None)
    assert report.falsification is None
    assert "max-sensitivity" not in {metric.name for metric in report.metrics}
    assert verdict(report) is CheckVerdict.INCONCLUSIVE


def test_infidelity_of_an_additive_model_is_zero_for_its_weights_and_not_for_noise(tmp_path: Path) -> None:
    frame = additive(write_table(tmp_path, rows()))
    assert len(frame) > 20
    # attributions are stored in float32
    np.testing.assert_allclose(frame["infidelity"], 0.0, atol=1e-10)
    np.testing.assert_allclose(frame["infidelity_normalised"], 0.0, atol=1e-10)
    np.testing.assert_allclose(frame["infidelity_normalised_plain_ig"], 0.0, atol=1e-10)
    for noise in ("random", "attention_rollout"):
        assert (frame[f"infidelity_normalised_{noise}"] > 1e-3).all()


def test_infidelity_sees_the_scale_and_its_normalised_form_does_not(tmp_path: Path) -> None:
    table = rows()
    for row in table:
        row["values"] = [3.0 * v for v in row["values"]]
    frame = additive(write_table(tmp_path, table))
    assert (frame["infidelity"] > 1e-3).all()
    np.testing.assert_allclose(frame["infidelity_normalised"], 0.0, atol=1e-10)


def test_infidelity_is_empty_where_nothing_could_be_scored(tmp_path: Path) -> None:
    table = [*rows(), problem_row(40)]
    table[3]["values"] = [float("nan")] * len(table[3]["values"])
    table[5]["attention_rollout"] = None
    frame = frame_of(write_table(tmp_path, table, shards=3))
    missing = frame.set_index("id")["infidelity"].isna()
    assert missing[missing].index.tolist() == ["r3"]
    rollout = frame.set_index("id")["infidelity_normalised_attention_rollout"].isna()
    assert rollout[rollout].index.tolist() == ["r3", "r5"]
