"""Positive and negative perturbation: a case by hand, a slow literal version, and the best and worst order of a known model."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from calig.metrics.faithfulness import NEGATIVE, POSITIVE, REMOVED_SHARES, AttributedRow, perturbation_aucs
from calig.metrics.perturbation import FloatArray, ImageSource, PerturbedImage, PerturbedInput, TextSource


class Patches:
    """Class 0 wins while the weights of the patches still there sum to more than zero."""

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = np.array(weights)

    def __call__(self, inputs: Sequence[PerturbedInput]) -> FloatArray:
        kept = np.array([~item.removed for item in inputs if isinstance(item, PerturbedImage)])
        wins = kept @ self.weights > 0
        return np.where(wins[:, None], [0.6, 0.3, 0.1], [0.1, 0.3, 0.6])


def image(*orders: Sequence[float], class_index: int = 0) -> AttributedRow:
    return AttributedRow(ImageSource(Path("a.png"), len(orders[0])), np.array(orders), class_index)


def test_by_hand() -> None:
    """Ten patches, one of which decides: first in order, it goes at 10 %; last, it is still there at 90 %."""
    weights = [1.0] + [0.0] * 9
    ((positive, negative),) = perturbation_aucs([image(weights)], scorer=Patches(weights))[0]
    assert (positive, negative) == (0.0, 1.0)
    fifth = [0.5, 0.9, 0.8, 0.7, 0.6, *[0.0] * 5]  # taken first at 50 %: kept at 0.1 … 0.4, half of the step to 0.5
    areas = perturbation_aucs([image(fifth)], scorer=Patches(weights))[0][0]
    assert areas[POSITIVE] == pytest.approx((0.3 + 0.05) / 0.8)
    # least relevant first: the five zeros and then it, at 60 %: kept at 0.1 … 0.5
    assert areas[NEGATIVE] == pytest.approx((0.4 + 0.05) / 0.8)


def literal(weights: Sequence[float], attribution: Sequence[float], sign: int, wanted: int) -> float:
    """Step by step, one patch after the other, with Python's own sort."""
    n = len(weights)
    order = sorted(range(n), key=lambda i: (-sign * attribution[i], i))
    heights = []
    for tenths in range(1, 10):
        gone = order[: -(-tenths * n // 10)]
        left = sum(weights[i] for i in range(n) if i not in gone)
        heights.append(float((0 if left > 0 else 2) == wanted))
    return sum((a + b) / 2 for a, b in itertools.pairwise(heights)) / 8


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_equals_the_literal_version(wanted: int) -> None:
    random = np.random.default_rng(3)
    rows, expected = [], []
    weights = random.normal(0.1, 1, size=16)
    for _ in range(20):
        orders = random.normal(size=(2, 16)).round(1)  # with ties
        rows.append(image(*orders, class_index=wanted))
        expected.append([[literal(weights, order, sign, wanted) for sign in (1, -1)] for order in orders])
    np.testing.assert_allclose(perturbation_aucs(rows, scorer=Patches(weights)), expected, atol=1e-12)


def test_the_models_own_weights_are_the_best_order_and_reversed_the_worst() -> None:
    weights = np.random.default_rng(0).normal(0.3, 1, size=25)
    random = np.random.default_rng(1).normal(size=(50, 25))
    best, worst, *others = perturbation_aucs([image(weights, -weights, *random)], scorer=Patches(weights))[0]
    others_by_side = np.array(others)
    assert best[POSITIVE] <= others_by_side[:, POSITIVE].min() < others_by_side[:, POSITIVE].max() <= worst[POSITIVE]
    assert worst[NEGATIVE] <= others_by_side[:, NEGATIVE].min() < others_by_side[:, NEGATIVE].max() <= best[NEGATIVE]


def test_texts_work_alike_and_nothing_gives_nothing() -> None:
    def never_changes(inputs: Sequence[PerturbedInput]) -> FloatArray:
        return np.tile([0.2, 0.8], (len(inputs), 1))

    text = TextSource(np.array([1, 2, 3, 4]), np.array([False, True, True, False]), 0)
    (areas,) = perturbation_aucs([AttributedRow(text, np.array([[1.0, 2.0]]), 1)], scorer=never_changes)
    np.testing.assert_allclose(areas, [[1.0, 1.0]])
    assert perturbation_aucs([], scorer=never_changes) == []
    assert tuple(k / 10 for k in range(1, 10)) == REMOVED_SHARES
