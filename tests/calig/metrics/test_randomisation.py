"""Agreement of maps: against SciPy, with ties, signs, and where it says nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from calig.metrics.randomisation import agreement, rank_correlation

VALUES = hnp.arrays(np.float64, 8, elements=st.integers(-4, 4).map(float))


@given(VALUES, VALUES)
def test_equals_scipy_with_ties(a: np.ndarray, b: np.ndarray) -> None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert math.isnan(rank_correlation(a, b))
    else:
        assert rank_correlation(a, b) == pytest.approx(float(stats.spearmanr(a, b).statistic), abs=1e-12)


def test_a_map_turned_around_has_not_fallen() -> None:
    original = np.array([0.5, -2.0, 1.0, 0.1])
    assert agreement(original, original) == pytest.approx((1.0, 1.0))
    assert agreement(original, -original) == pytest.approx((-1.0, 1.0))


@pytest.mark.parametrize(("a", "b"), [([1.0, 2.0], [2.0, 1.0]), ([], []), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_nothing_to_compare(a: list[float], b: list[float]) -> None:
    assert math.isnan(rank_correlation(np.array(a), np.array(b)))
