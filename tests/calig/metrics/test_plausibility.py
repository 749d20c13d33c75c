"""Agreement with rationales and of annotators: against scikit-learn, by hand, and on what must hold for any annotators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, f1_score, precision_recall_curve

from calig.metrics.plausibility import area_under_precision_recall, human_ceiling, majority, span_f1, token_f1

#: Three annotators over six tokens.
MASKS = np.array([[0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0]], dtype=bool)
masks_of_any_size = st.integers(1, 8).flatmap(
    lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=2, max_size=5)
)


def test_majority_is_more_than_half():
    assert majority(MASKS).tolist() == [False, True, False, False, False, True]
    assert majority(MASKS[:2]).tolist() == [False, True, False, False, False, True]  # of two, both
    assert majority(MASKS[:1]).tolist() == MASKS[0].tolist()


def test_ceiling_by_hand():
    """Pairs 0-1, 0-2, 1-2. Tokens shared: 2 of 3 and 2; 1 of 3 and 2; 1 of 2 and 2.

    Runs of 0: 1-2 and 5; of 1: 1 and 5; of 2: 0-1. Pair 0-1 finds 5 alone (1 of 2 is not more than half), 0-2 and 1-2 nothing.
    """
    ceiling = human_ceiling(MASKS)
    assert ceiling.token_f1 == pytest.approx((4 / 5 + 2 / 5 + 2 / 4) / 3)
    assert ceiling.span_f1 == pytest.approx((1 / 2 + 0 + 0) / 3)


@given(masks_of_any_size)
def test_ceiling_equals_scikit_learn(given_masks):
    masks = np.array(given_masks)
    ceiling = human_ceiling(masks)
    if not masks.any():
        assert np.isnan(ceiling).all()
        return
    pairs = [(a, b) for i, a in enumerate(masks) for b in masks[i + 1 :] if a.any() or b.any()]
    assert ceiling.token_f1 == pytest.approx(np.mean([f1_score(a, b) for a, b in pairs]))
    areas = []
    for index, mask in enumerate(masks):
        others = np.delete(masks, index, axis=0)
        if mask.any():
            precision, recall, _ = precision_recall_curve(mask, others.mean(axis=0))
            areas.append(auc(recall, precision) if others.any() else 0.0)
    assert ceiling.auprc == pytest.approx(np.mean(areas), abs=1e-12)
    assert all(0.0 <= value <= 1.0 + 1e-12 for value in ceiling)
    np.testing.assert_allclose(human_ceiling(masks[::-1]), ceiling, atol=1e-12)


def test_people_who_agree_reach_one_and_those_who_share_nothing_little():
    assert human_ceiling(np.array([MASKS[0]] * 3)) == (1.0, 1.0, 1.0)
    apart = human_ceiling(np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=bool))
    assert (apart.token_f1, apart.span_f1) == (0.0, 0.0)
    assert apart.auprc < 0.5


def test_a_blank_annotator_agrees_with_nobody():
    assert human_ceiling(np.array([[0, 1, 1, 0], [0, 0, 0, 0]], dtype=bool)) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("masks", [MASKS[:1], np.zeros((3, 4), dtype=bool), np.zeros((0, 4), dtype=bool)])
def test_without_two_annotators_or_any_mark_there_is_no_ceiling(masks):
    assert np.isnan(human_ceiling(masks)).all()


def test_an_attribution_equal_to_a_person_scores_as_that_person_does():
    """The ceiling of two is the plausibility of one as an attribution against the other, where they mark as many tokens."""
    a, b = np.array([0, 1, 1, 0, 0, 0, 1], dtype=bool), np.array([0, 1, 1, 0, 1, 0, 0], dtype=bool)
    ceiling = human_ceiling(np.array([a, b]))
    both = [(a.astype(float), b), (b.astype(float), a)]
    assert ceiling.token_f1 == pytest.approx(np.mean([token_f1(*pair) for pair in both]))
    assert ceiling.span_f1 == pytest.approx(np.mean([span_f1(*pair) for pair in both]))
    assert ceiling.auprc == pytest.approx(np.mean([area_under_precision_recall(*pair) for pair in both]))


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
