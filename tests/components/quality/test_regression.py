"""Quality of a regression: figures in the unit of its output, a scorer believed by its scale, checks that do not apply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from calig.metrics.perturbation import Perturbation, PerturbedInput
from components.common.errors import CouldNotRunError
from components.quality import load_suite
from components.quality.scores.trust import checked, gaps
from components.quality.suite.checks import overall, run_checks
from schemas.base import CheckVerdict
from schemas.config import QualityConfig
from schemas.quality import QualityReport, ScorerRecord
from tests.helpers.attribution_tables import CLS, MASK, SEP, BagOfWords, attribution_row, write_table
from tests.helpers.judged import evaluate

MODEL, OUTPUT, MIDDLE = BagOfWords(), "rating", 50.0
CONFIG = QualityConfig(bootstrap_draws=200)
PASS, INCONCLUSIVE, NOT_APPLICABLE = CheckVerdict.PASS, CheckVerdict.INCONCLUSIVE, CheckVerdict.NOT_APPLICABLE


class Rating:
    """The bag of words as a regression: 50 and what the words weigh."""

    problem_type = "regression"

    def __init__(self, gap: float = 0.0) -> None:
        self.gap = gap

    def __call__(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        return self.logits(inputs) + self.gap

    def logits(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        return MIDDLE + MODEL.logits(inputs)[:, 1:]


def rated(row: int) -> dict[str, Any]:
    """A row of the table that explains the output truthfully: what opposes it is negative, whatever it is."""
    plain = attribution_row(row, model=MODEL, n_content=6 + row % 9)
    values = MODEL.weights[plain["input_ids"]]
    names = ("values", "input_x_gradient")
    own = {"label": None, "predicted": OUTPUT, "probability": None, "target": OUTPUT, "objective": "logit"}
    own |= {"target_weights": [(OUTPUT, 1.0)], "logits": [MIDDLE + values.sum()], "gold_value": 1.0}
    own |= {"f_input": MIDDLE + values.sum(), "f_baseline": MIDDLE, "layer_attributions": [values.tolist()] * 2}
    return plain | own | dict.fromkeys(names, values.tolist())


def judge(folder: Path, scorer: Any = None, config: QualityConfig = CONFIG) -> QualityReport:
    return evaluate(
        write_table(folder, [rated(row) for row in range(40)]),
        labels=(OUTPUT,),
        scorer=scorer or Rating(),
        scorer_record=ScorerRecord(runtime="torch", providers=("cpu",)),
        config=config,
        perturbation=Perturbation("replace", MASK),
    )


def test_figures_are_in_the_unit_of_the_output(tmp_path):
    """By hand: without the k words that weigh most the output falls by their weights, alone with them it is 50 and those."""
    report = judge(tmp_path)
    removed, kept = [], []
    for row in range(40):
        weights = np.sort(MODEL.weights[[i for i in rated(row)["input_ids"] if i not in {CLS, SEP}]])[::-1]
        tops = [weights[: int(np.ceil(f * len(weights) - 1e-9))].sum() for f in CONFIG.fractions]
        removed.append(np.mean(tops))
        kept.append(weights.sum() - np.mean(tops))
    metrics = {metric.name: metric for metric in report.metrics}
    assert metrics["comprehensiveness"].value == pytest.approx(np.mean(removed))
    assert metrics["sufficiency"].value == pytest.approx(np.mean(kept))
    assert metrics["infidelity"].value == pytest.approx(0.0, abs=1e-9), "the attribution is the model"
    assert metrics["comprehensiveness"].definition.endswith("p: the output of the regression, in its own unit")
    assert (metrics["log-odds"].value, metrics["log-odds"].definition) == (
        None,
        "not measured: a regression has no probabilities",
    )
    assert report.curves[0].probability[0] == pytest.approx(np.mean([rated(row)["f_input"] for row in range(40)]))


def test_the_default_suite_judges_what_applies_and_says_what_does_not(tmp_path):
    report = judge(tmp_path)
    checks = {check.name: check for check in report.checks}
    assert (report.verdict, checks["better than random"].verdict) == (PASS, PASS)
    by_class = checks["better than random by class"]
    assert (by_class.verdict, by_class.observed) == (NOT_APPLICABLE, "a regression has no classes")


FRAME = pd.DataFrame(
    {"label": [None] * 40, "predicted": [OUTPUT] * 40, "log_odds": [np.nan] * 40, "coverage": [1.0] * 40, "target": [OUTPUT] * 40}
)
MEAN = "expect_column_mean_to_be_between"


def run(tmp_path: Path, severity: str, *, problem_type: str = "regression", frame: pd.DataFrame = FRAME, **spec: Any):
    expectation = {"type": MEAN, "severity": severity, "meta": {"name": "mine"}} | spec
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "expectations": [expectation]}), encoding="utf-8")
    checks = run_checks(load_suite(str(path), columns=list(frame.columns)), frame, problem_type=problem_type)
    return checks, overall(checks)


OF_POSITIVE = {"type": "comparison", "column": {"name": "label"}, "operator": "==", "parameter": "POS"}


@pytest.mark.parametrize(
    "spec",
    [
        {"kwargs": {"column": "log_odds", "max_value": 0.0}},
        {"kwargs": {"column": "coverage", "min_value": 0.5}, "for_each": "class"},
        {"kwargs": {"column": "coverage", "min_value": 0.5, "row_condition": OF_POSITIVE}},
    ],
)
def test_what_speaks_of_classes_never_becomes_a_silent_pass(tmp_path, spec):
    (warning,), _ = run(tmp_path, "warning", **spec)
    assert warning.verdict is NOT_APPLICABLE
    (critical,), verdict = run(tmp_path, "critical", **spec)
    assert (critical.verdict, verdict) == (INCONCLUSIVE, INCONCLUSIVE)
    assert str(critical.observed).startswith("a regression has no ")
    assert "take it out of the suite" in str(critical.observed)


def test_classes_of_a_multi_label_model_are_the_labels_explained(tmp_path):
    frame = FRAME.assign(target=["a", "b"] * 20, predicted="a")
    spec = {"kwargs": {"column": "coverage", "min_value": 0.5}, "for_each": "class", "min_rows": 5}
    checks, verdict = run(tmp_path, "critical", problem_type="multi_label_classification", frame=frame, **spec)
    assert [(check.name, check.slice.n) for check in checks] == [("mine: a", 20), ("mine: b", 20)]
    assert verdict is PASS


def test_a_scorer_of_numbers_is_believed_by_its_scale(tmp_path):
    outputs = np.array([rated(row)["f_input"] for row in range(40)])
    unit = max(np.median(np.abs(outputs - np.median(outputs))), 0.01 * np.abs(outputs).max())
    frame = pd.DataFrame({"explained_probability": outputs, "scored_probability": outputs + 0.5 * unit})
    np.testing.assert_allclose(gaps(frame, "regression"), 0.5)
    np.testing.assert_allclose(gaps(frame, "single_label_classification"), 0.5 * unit)
    (tmp_path / "near").mkdir()
    (tmp_path / "far").mkdir()
    assert judge(tmp_path / "near", Rating(0.04 * unit)).verdict is PASS
    doubted = judge(tmp_path / "far", Rating(0.2 * unit))
    assert doubted.verdict is INCONCLUSIVE
    assert any("gives other outputs" in warning for warning in doubted.warnings)


@pytest.mark.parametrize(("answers", "message"), [([[np.nan]], "NaN or infinite answers"), ([[1.0, 2.0]], "a wrong shape")])
def test_numbers_have_to_be_finite_and_one_for_each_input(answers, message):
    class Scorer(Rating):
        def __call__(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
            return np.array(answers)

    with pytest.raises(CouldNotRunError, match=message):
        checked(Scorer(), 1)([None])
