"""A scorer that cannot be believed is an error or leaves the verdict open; it never passes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from calig.metrics.perturbation import Perturbation, PerturbedInput
from components.common.errors import CouldNotRunError
from components.quality.scores.trust import checked, joint_record
from schemas.base import CheckVerdict, Severity
from schemas.config import QualityConfig
from schemas.quality import QualityReport, ScorerRecord
from tests.helpers.attribution_tables import LABELS, MASK, BagOfWords, attribution_row, write_table
from tests.helpers.explained import explained
from tests.helpers.judged import evaluate

MODEL = BagOfWords()
DOUBT = "the scorer runs the model that was explained"


class Changed:
    """The model with its probabilities changed, as a scorer; its logits are the model's own."""

    def __init__(self, change: Callable[[Sequence[PerturbedInput], np.ndarray], np.ndarray]) -> None:
        self.change, self.logits = change, MODEL.logits

    def __call__(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        return self.change(inputs, MODEL(inputs))


SWAPPED = Changed(lambda _, p: p[:, ::-1])


def judge(folder: Path, scorer, **changes) -> QualityReport:
    rows = [attribution_row(row, model=MODEL, n_content=6 + row % 9, **changes) for row in range(40)]
    return evaluate(
        write_table(folder, rows),
        labels=LABELS,
        scorer=scorer,
        scorer_record=ScorerRecord(runtime="torch", providers=("cpu",)),
        config=QualityConfig(bootstrap_draws=200),
        perturbation=Perturbation("replace", MASK),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-1], "a wrong shape"),
        (lambda p: p[:, :1], "a wrong shape"),
        (lambda p: np.pad(p, ((0, 0), (0, 1))), "a wrong shape\ngot: .*, 3.*\nallowed: .* inputs × 2 classes"),
        (lambda p: p[:, 0], "a wrong shape"),
        (lambda p: np.where(np.arange(len(p))[:, None] == 5, np.nan, p), "NaN or infinite answers"),
        (lambda p: p * np.inf, "NaN or infinite answers"),
        (lambda p: 4.0 * p - 1.5, "what are no probabilities"),
        (lambda p: 2.0 * p, "what are no probabilities"),
    ],
)
def test_what_are_no_probabilities_of_the_classes_cannot_be_judged(tmp_path: Path, change, message: str) -> None:
    with pytest.raises(CouldNotRunError, match=f"the scorer of perturbed inputs gave {message}"):
        judge(tmp_path, Changed(lambda _, p: change(p)))


def test_probabilities_pass_as_they_are() -> None:
    given = np.array([[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_array_equal(checked(lambda inputs: given, 2)([None, None]), given)  # type: ignore[list-item]
    assert checked(lambda inputs: np.empty((0, 2)), 2)([]).shape == (0, 2)


def test_classes_in_another_order_never_pass(tmp_path: Path) -> None:
    report = judge(tmp_path, SWAPPED)
    assert report.verdict is CheckVerdict.FAIL  # it also makes every explanation look wrong
    doubt = report.checks[-1]
    assert (doubt.name, doubt.verdict, doubt.severity) == (DOUBT, CheckVerdict.INCONCLUSIVE, Severity.CRITICAL)
    assert doubt.observed > 0.9  # type: ignore[operator]


def test_another_order_is_inconclusive_where_the_figures_would_pass(tmp_path: Path) -> None:
    """The classes are SWAPPED and the attributions negated: comprehensive, sufficient, better than random, and wrong."""
    rows = [attribution_row(row, model=MODEL, n_content=6 + row % 9) for row in range(40)]
    for row in rows:
        row["values"] = [-value for value in row["values"]]
    report = evaluate(
        write_table(tmp_path, rows),
        labels=LABELS,
        scorer=SWAPPED,
        scorer_record=ScorerRecord(runtime="torch", providers=("cpu",)),
        config=QualityConfig(bootstrap_draws=200),
        perturbation=Perturbation("replace", MASK),
    )
    assert {check.verdict for check in report.checks if check.severity is Severity.CRITICAL} == {
        CheckVerdict.PASS,
        CheckVerdict.INCONCLUSIVE,
    }
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert any("may not have run the same model" in warning for warning in report.warnings)


def test_rows_explained_toward_another_class_are_compared_too(tmp_path: Path) -> None:
    """The target is always POS; where NEG is predicted, p(POS) of both sides is compared."""
    rows = [attribution_row(row, model=MODEL) for row in range(40)]
    for row in rows:
        sign = 1 if row["predicted"] == LABELS[1] else -1
        row |= {**explained(LABELS[1], LABELS), "values": [sign * value for value in row["values"]]}
    config, record = QualityConfig(bootstrap_draws=200), ScorerRecord(runtime="torch", providers=("cpu",))
    paths, removal = write_table(tmp_path, rows), Perturbation("replace", MASK)
    good = evaluate(paths, labels=LABELS, scorer=MODEL, scorer_record=record, config=config, perturbation=removal)
    assert DOUBT not in {check.name for check in good.checks}
    mixed = evaluate(paths, labels=LABELS, scorer=SWAPPED, scorer_record=record, config=config, perturbation=removal)
    assert mixed.checks[-1].name == DOUBT


def test_a_single_row_at_the_edge_warns_only(tmp_path: Path) -> None:
    def nearly(inputs: Sequence[PerturbedInput], p: np.ndarray) -> np.ndarray:
        first = [item.input_ids.tolist() == attribution_row(0, model=MODEL, n_content=6)["input_ids"] for item in inputs]  # type: ignore[union-attr]
        return np.where(np.array(first)[:, None], 0.5, p)

    report = judge(tmp_path, Changed(nearly))
    assert DOUBT not in {check.name for check in report.checks}
    assert report.verdict is CheckVerdict.PASS
    assert any("may not have run the same model" in warning for warning in report.warnings)


@pytest.mark.parametrize(("kind", "allowed"), [("zero", "replace, delete"), ("blur", "replace, delete")])
def test_a_text_is_not_perturbed_as_an_image(tmp_path: Path, kind, allowed: str) -> None:
    paths = write_table(tmp_path, [attribution_row(0, model=MODEL)])
    record = ScorerRecord(runtime="torch", providers=("cpu",))
    with pytest.raises(CouldNotRunError, match=f"is a text\ngot: perturbation {kind}\nallowed: {allowed}"):
        evaluate(
            paths, labels=LABELS, scorer=MODEL, scorer_record=record, config=QualityConfig(), perturbation=Perturbation(kind)
        )


ONNX = ScorerRecord(
    runtime="onnxruntime", providers=("CPUExecutionProvider",), parity_max_abs=1e-6, parity_rows=16, exported_digest="a"
)
TORCH_ALONE = ScorerRecord(runtime="torch", providers=("cpu",), parity_rows=16, fallback_reason="RuntimeError: no export")


def test_one_runtime_for_all_shards_is_recorded_as_it_is() -> None:
    assert joint_record([ONNX]) == joint_record([ONNX, ONNX]) == ONNX
    assert joint_record([TORCH_ALONE, TORCH_ALONE]) == TORCH_ALONE


def test_a_shard_that_torch_scored_is_told() -> None:
    worse = ONNX.model_copy(update={"parity_max_abs": 2e-4, "parity_rows": 9, "exported_digest": "b"})
    joint = joint_record([ONNX, TORCH_ALONE, worse])
    assert joint.runtime == "onnxruntime and torch"
    assert joint.providers == ("CPUExecutionProvider", "cpu")
    assert joint.fallback_reason == "1 of 3 shards: RuntimeError: no export"
    assert (joint.parity_max_abs, joint.parity_rows) == (2e-4, 9)
    assert joint.exported_digest == "a, b"
