"""A regression through ONNX Runtime: its outputs as they are, and agreement with torch by their scale."""

from __future__ import annotations

import numpy as np
import pytest

from calig.metrics.perturbation import PerturbedText, answers_of
from components.common.errors import CouldNotRunError
from components.scoring import open_scorer
from components.scoring.batches import TextCollator
from components.scoring.opening import check_parity
from components.scoring.scorer import TokenScorer
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_bert

ITEMS = [PerturbedText(np.array([2, 5 + i, 9, 3])) for i in range(3)]


def test_answers_of_a_regression_are_its_logits():
    logits = np.array([[-3.0], [40.0]])
    np.testing.assert_array_equal(answers_of(logits, "regression"), logits)
    np.testing.assert_allclose(answers_of(np.array([[0.0, 0.0]]), "single_label_classification"), [[0.5, 0.5]])
    np.testing.assert_allclose(answers_of(np.array([[0.0, 0.0]]), "multi_label_classification"), [[0.5, 0.5]])


def test_a_regression_is_scored_by_its_output(tmp_path):
    snapshot = snapshot_of(save_tiny_bert(tmp_path / "bert", 0, ("rating",)))
    assert (snapshot.problem_type, snapshot.label_kind) == ("regression", "value")
    scorer, record = open_scorer(snapshot, runtime="onnxruntime", workspace=tmp_path, parity_inputs=ITEMS)
    assert (record.runtime, scorer.problem_type) == ("onnxruntime", "regression")
    np.testing.assert_array_equal(scorer(ITEMS), scorer.logits(ITEMS))
    assert scorer(ITEMS).shape == (3, 1)


def outputs(values):
    def run(arrays):
        return np.array([[values[int(ids[1]) - 5]] for ids in arrays["input_ids"]])

    return TokenScorer(run, TextCollator(), n_classes=1, problem_type="regression")


@pytest.mark.parametrize(
    ("values", "gap", "agrees"),
    [
        ([0.0, 10.0, 20.0], 5e-3, True),  # a thousandth of their spread, 8.2
        ([0.0, 10.0, 20.0], 2e-2, False),
        ([1e-4, 2e-4, 3e-4], 1e-6, False),  # a class's limit of 1e-3 would take any model for this one
        ([250_000.0, 250_001.0, 250_002.0], 0.5, True),  # rounding of such numbers in float32
        ([250_000.0, 250_001.0, 250_002.0], 10.0, False),
    ],
)
def test_how_well_outputs_agree_is_judged_by_their_scale(values, gap, agrees):
    expected = np.array(values)[:, None] + gap
    if agrees:
        assert check_parity(outputs(values), ITEMS, expected) == pytest.approx(gap, rel=1e-6)
    else:
        with pytest.raises(CouldNotRunError, match="differ from torch"):
            check_parity(outputs(values), ITEMS, expected)
