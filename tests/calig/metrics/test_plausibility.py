"""Agreement with rationales: against scikit-learn, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, precision_recall_curve

from calig.metrics.plausibility import area_under_precision_recall, span_f1, token_f1

MARKED = np.array([False, True, True, False, False, True])


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
def test_auprc_equals_scikit_learns_curve(tokens):
    """Integers, so that ties are common."""
    values, marked = np.array([v for v, _ in tokens], dtype=float), np.array([m for _, m in tokens])
    if not marked.any():
        assert np.isnan(area_under_precision_recall(values, marked))
        return
    precision, recall, _ = precision_recall_curve(marked, values)
    assert area_under_precision_recall(values, marked) == pytest.approx(auc(recall, precision), abs=1e-12)


def test_perfect_and_opposite_orders():
    assert area_under_precision_recall(MARKED.astype(float), MARKED) == 1.0
    assert token_f1(MARKED.astype(float), MARKED) == span_f1(MARKED.astype(float), MARKED) == 1.0
    assert token_f1(-MARKED.astype(float), MARKED) == span_f1(-MARKED.astype(float), MARKED) == 0.0


def test_token_f1_by_hand():
    """The top three of six are the tokens 0, 1, 2: two of the three that are marked."""
    assert token_f1(np.array([3.0, 2.0, 1.0, 0.0, 0.0, 0.0]), MARKED) == pytest.approx(2 / 3)


def test_span_f1_by_hand():
    """Top: the run 0-2. Against the runs 1-2 (2 of 3 shared: found) and 5 (not found): precision 1, recall 1/2."""
    assert span_f1(np.array([3.0, 2.0, 1.0, 0.0, 0.0, 0.0]), MARKED) == pytest.approx(2 / 3)


def test_half_of_the_union_is_not_enough():
    """Top: tokens 1 and 5, then 0: runs 0-1 and 5. 0-1 shares 1 of 3 with 1-2; 5 is found: precision and recall 1/2."""
    assert span_f1(np.array([1.0, 3.0, 0.0, 0.0, 0.0, 2.0]), MARKED) == pytest.approx(1 / 2)


@pytest.mark.parametrize("measure", [area_under_precision_recall, token_f1, span_f1])
def test_nothing_marked_is_not_judged(measure):
    assert np.isnan(measure(np.ones(3), np.zeros(3, dtype=bool)))
