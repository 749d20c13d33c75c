"""Faithfulness against hand-computed cases, a slow literal version, and models whose best order is known."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calig.metrics.faithfulness import (
    AttributedSource,
    area_under_curve,
    comprehensiveness,
    difference,
    log_odds,
    normalised_pair,
    perturbation_curves,
    sufficiency,
)
from calig.metrics.perturbation import PerturbedInput, PerturbedText, TextSource, top_count

MASK = 0
FRACTIONS = (0.25, 0.5)


def row(attributions: Sequence[Sequence[float]], class_index: int = 0) -> AttributedSource:
    """A row of content tokens 1, 2, 3, … between two special ones."""
    n = len(attributions[0])
    ids = np.array([99, *range(1, n + 1), 98])
    content = np.array([False, *[True] * n, False])
    return AttributedSource(TextSource(ids, content, MASK), np.array(attributions, dtype=float), class_index)


class BagOfWords:
    """p = sigmoid(bias + Σ weights of the tokens present); remembers what it was asked."""

    def __init__(self, weights: Sequence[float], bias: float = 0.0) -> None:
        self.weights, self.bias, self.calls = np.array([0.0, *weights]), bias, []

    def p(self, ids: np.ndarray) -> float:
        content = ids[(ids < 98) & (ids != MASK)]
        return float(1 / (1 + np.exp(-(self.bias + self.weights[content].sum()))))

    def __call__(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        ids = [item.input_ids for item in inputs if isinstance(item, PerturbedText)]
        self.calls.append([tuple(i) for i in ids])
        p = np.array([self.p(i) for i in ids])
        return np.stack([p, 1 - p], axis=1)


class Additive(BagOfWords):
    """p = bias + Σ weights: for numbers that can be checked by hand."""

    def p(self, ids: np.ndarray) -> float:
        return float(self.bias + self.weights[ids[(ids < 98) & (ids != MASK)]].sum())


def test_by_hand() -> None:
    # p(x) = 0.1 + 0.5 + 0.1 - 0.1 + 0.2 = 0.8; order: token 1 (0.5), 4 (0.2), 2 (0.1), 3 (-0.1)
    scorer = Additive([0.5, 0.1, -0.1, 0.2], bias=0.1)
    (curves,) = perturbation_curves([row([[5, 1, -1, 2]])], fractions=FRACTIONS, scorer=scorer)
    assert curves.shape == (1, 2, 4)
    np.testing.assert_allclose(curves[0, 0], [0.8, 0.3, 0.1, 0.1])  # nothing, token 1, tokens 1 and 4, all removed
    np.testing.assert_allclose(curves[0, 1], [0.1, 0.6, 0.8, 0.8])  # nothing, token 1, tokens 1 and 4, all kept
    np.testing.assert_allclose(comprehensiveness(curves), [((0.8 - 0.3) + (0.8 - 0.1)) / 2])
    np.testing.assert_allclose(sufficiency(curves), [((0.8 - 0.6) + (0.8 - 0.8)) / 2])
    np.testing.assert_allclose(difference(curves), [0.6 - 0.1])
    deletion = 0.25 * (0.8 + 0.3) / 2 + 0.25 * (0.3 + 0.1) / 2 + 0.5 * (0.1 + 0.1) / 2
    insertion = 0.25 * (0.1 + 0.6) / 2 + 0.25 * (0.6 + 0.8) / 2 + 0.5 * (0.8 + 0.8) / 2
    np.testing.assert_allclose(area_under_curve(curves, fractions=FRACTIONS), [[deletion, insertion]])


def literal(
    attribution: Sequence[float], scorer: BagOfWords, fractions: Sequence[float], class_index: int
) -> tuple[float, float]:
    """ERASER word for word: remove the top k, keep the top k, one fraction after the other."""
    n = len(attribution)
    order = sorted(range(n), key=lambda i: (-attribution[i], i))

    def p(kept: set[int]) -> float:
        p0 = scorer.p(np.array([99, *[i + 1 if i in kept else MASK for i in range(n)], 98]))
        return p0 if class_index == 0 else 1 - p0

    everything = set(range(n))
    comprehensive, sufficient = 0.0, 0.0
    for fraction in fractions:
        top = set(order[: top_count(n, fraction)])
        comprehensive += (p(everything) - p(everything - top)) / len(fractions)
        sufficient += (p(everything) - p(top)) / len(fractions)
    return comprehensive, sufficient


@given(st.integers(0, 10_000), st.integers(1, 25), st.integers(0, 1))
def test_equals_the_literal_version(seed: int, n: int, class_index: int) -> None:
    random = np.random.default_rng(seed)
    attributions = random.integers(-3, 4, size=(3, n)).astype(float)  # many ties
    scorer = BagOfWords(random.normal(size=n), bias=float(random.normal()))
    fractions = (0.01, 0.05, 0.1, 0.2, 0.5)
    (curves,) = perturbation_curves([row(attributions, class_index)], fractions=fractions, scorer=scorer)
    expected = [literal(a, scorer, fractions, class_index) for a in attributions]
    np.testing.assert_allclose(np.stack([comprehensiveness(curves), sufficiency(curves)], axis=1), expected, atol=1e-12)


def test_the_true_order_is_the_best_of_all_orders() -> None:
    weights = [0.3, -0.8, 1.2, 0.05, -0.1]
    orders = [weights, *permutations(range(5))]
    (curves,) = perturbation_curves([row(orders)], fractions=(0.2, 0.4, 0.6, 0.8), scorer=BagOfWords(weights))
    areas = area_under_curve(curves, fractions=(0.2, 0.4, 0.6, 0.8))
    assert comprehensiveness(curves).argmax() == 0
    assert sufficiency(curves).argmin() == 0
    assert areas[:, 0].argmin() == 0
    assert areas[:, 1].argmax() == 0
    # and the reversed order is the worst, so that the measure tells directions apart
    reverse = 1 + list(permutations(range(5))).index(tuple(np.argsort(np.argsort(-np.array(weights)))))
    assert difference(curves).argmin() == reverse


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 20)), elements=st.floats(-2, 2)), st.floats(0, 1))
def test_a_model_that_ignores_its_input_scores_zero(attributions: np.ndarray, p: float) -> None:
    (curves,) = perturbation_curves(
        [row(attributions)], fractions=(0.1, 0.5), scorer=lambda inputs: np.tile([p, 1 - p], (len(inputs), 1))
    )
    np.testing.assert_allclose(comprehensiveness(curves), 0, atol=1e-12)
    np.testing.assert_allclose(sufficiency(curves), 0, atol=1e-12)
    np.testing.assert_allclose(area_under_curve(curves, fractions=(0.1, 0.5)), p, atol=1e-12)


@given(hnp.arrays(np.float64, (3, 2, 4), elements=st.floats(0, 1)))
def test_areas_lie_between_the_smallest_and_the_largest_probability(curves: np.ndarray) -> None:
    areas = area_under_curve(curves, fractions=FRACTIONS)
    assert (areas >= curves.min(axis=-1) - 1e-12).all()
    assert (areas <= curves.max(axis=-1) + 1e-12).all()
    assert (np.abs(comprehensiveness(curves)) <= 1).all()


def test_curves_share_their_ends_and_equal_inputs_are_scored_once() -> None:
    scorer = BagOfWords([1.0, -0.5, 0.25, 2.0])
    rows = [row([[4, 1, 2, 3], [4, 1, 2, 3], [1, 2, 3, 4]]), row([[0.0, 0.0]], class_index=1)]
    first, second = perturbation_curves(rows, fractions=FRACTIONS, scorer=scorer)
    assert len(scorer.calls) == 1
    of_first = [ids for ids in scorer.calls[0] if len(ids) == 6]
    assert len(of_first) == len(set(of_first))
    np.testing.assert_array_equal(first[0], first[1])
    for curves in (first, second):
        np.testing.assert_array_equal(curves[:, 0, 0], curves[:, 1, -1])
        np.testing.assert_array_equal(curves[:, 0, -1], curves[:, 1, 0])
    assert second[0, 0, 0] == pytest.approx(1 - scorer.p(np.array([99, 1, 2, 98])))


def test_without_rows_nothing_is_scored() -> None:
    scorer = BagOfWords([1.0])
    assert perturbation_curves([], fractions=FRACTIONS, scorer=scorer) == []
    assert scorer.calls == []


def test_log_odds_and_the_normalised_pair_by_hand() -> None:
    """Deletion 0.8 → 0.4, 0.2 → 0.1; insertion 0.1 → 0.5, 0.9 → 0.8. Room 0.7; missing 0.3, 0 (not below); lost 0.4, 0.6."""
    curves = np.array([[0.8, 0.4, 0.2, 0.1], [0.1, 0.5, 0.9, 0.8]])
    assert log_odds(curves) == pytest.approx((np.log(0.4) + np.log(0.2)) / 2 - np.log(0.8))
    sufficient, comprehensive = normalised_pair(curves)
    assert sufficient == pytest.approx((0.4 / 0.7 + 1.0) / 2)
    assert comprehensive == pytest.approx((0.4 / 0.7 + 0.6 / 0.7) / 2)


def test_content_that_does_not_raise_p_leaves_nothing_to_normalise_by() -> None:
    curves = np.array([[0.3, 0.4, 0.5], [0.5, 0.4, 0.3]])
    assert all(np.isnan(value) for value in normalised_pair(curves))
