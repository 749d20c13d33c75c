"""The nested rule: exact where it must be, and every refinement keeps the earlier nodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from calig.quadrature import _chebyshev, _clenshaw_curtis, integrate, interleave, max_level, new_nodes, nodes, weights


@pytest.mark.parametrize("level", range(8))
def test_weights_are_positive_and_sum_to_one(level):
    assert (weights(level) > 0).all()
    assert weights(level).sum() == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("level", range(1, 7))
def test_the_underlying_rule_is_exact_for_polynomials_up_to_the_number_of_intervals(level):
    for degree in range(2**level + 1):
        exact = 1 / (degree + 1)
        assert _clenshaw_curtis(level) @ _chebyshev(level) ** degree == pytest.approx(exact, rel=1e-12)


def test_simpson_is_the_second_rule():
    np.testing.assert_allclose(_clenshaw_curtis(1), [1 / 6, 4 / 6, 1 / 6], rtol=1e-15)


def test_both_ends_are_nodes_and_the_rest_crowds_where_evidence_appears():
    assert (nodes(5)[0], nodes(5)[-1]) == (0.0, 1.0)
    assert np.diff(nodes(6)).argmax() > 40
    dense, plain = (((points > 0.1) & (points < 0.5)).sum() for points in (nodes(6), _chebyshev(6)))
    assert dense > 1.25 * plain


def test_converges_to_polynomials_in_alpha():
    for degree in range(1, 12):
        assert integrate(nodes(6) ** degree, 6) == pytest.approx(1 / (degree + 1), rel=1e-10)


@given(st.integers(1, 7))
def test_refining_keeps_every_node(level):
    np.testing.assert_allclose(interleave(nodes(level - 1), new_nodes(level)), nodes(level), atol=1e-15)


def test_agrees_with_an_outside_integrator():
    expected, _ = quad(lambda a: np.tanh(8 * a - 2), 0, 1, epsabs=1e-13)
    assert integrate(np.tanh(8 * nodes(6) - 2), 6) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("points", "level"), [(3, 1), (4, 1), (5, 2), (128, 6), (129, 7)])
def test_deepest_level_within_the_budget(points, level):
    assert max_level(points) == level
    assert len(nodes(level)) <= points
