"""Entropy and Gini index: against scipy and the literal double sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from calig.metrics.complexity import entropy, gini

attributions = st.lists(st.floats(-5, 5).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=1, max_size=20).map(np.array)


@given(attributions)
def test_entropy_equals_scipys(attribution):
    if not np.abs(attribution).sum():
        assert np.isnan(entropy(attribution))
        return
    assert entropy(attribution) == pytest.approx(scipy_entropy(np.abs(attribution)), abs=1e-12)


@given(attributions)
def test_gini_is_half_the_relative_mean_difference(attribution):
    size = np.abs(attribution)
    if not size.sum():
        assert np.isnan(gini(attribution))
        return
    literal = sum(abs(a - b) for a in size for b in size) / (2 * len(size) ** 2 * size.mean())
    assert gini(attribution) == pytest.approx(literal, abs=1e-12)


def test_extremes():
    assert entropy(np.array([0.0, -3.0, 0.0])) == 0.0
    assert entropy(np.ones(4)) == pytest.approx(np.log(4))
    assert gini(np.ones(4)) == pytest.approx(0.0)
    assert gini(np.array([0.0, 0.0, 0.0, 2.0])) == pytest.approx(0.75)
