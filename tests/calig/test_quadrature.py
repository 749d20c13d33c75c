"""The local rule and its correction: exact where they must be, and every path on its own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from calig.quadrature import alpha_of, corrected, every_other, gauss_legendre, segment_weights

inner_nodes = st.lists(st.integers(1, 63), min_size=0, max_size=20, unique=True).map(
    lambda inner: np.array([[0.0, *(i / 64 for i in sorted(inner)), 1.0]])
)


def uniform(n):
    return np.linspace(0.0, 1.0, n)[None]


@given(inner_nodes)
def test_constants_are_integrated_exactly_over_every_segment(t):
    np.testing.assert_allclose(segment_weights(t)[0].sum(-1), np.diff(alpha_of(t)[0]), rtol=1e-12)


@given(inner_nodes, st.integers(0, 3))
def test_cubics_in_t_are_integrated_exactly(t, degree):
    if t.shape[1] <= degree:
        return
    exact, _ = quad(lambda u: u**degree * _measure(u), 0, 1, epsabs=1e-14)
    assert segment_weights(t)[0].sum(0) @ t[0] ** degree == pytest.approx(exact, rel=1e-9)


def _measure(t, step=1e-6):
    a, b = max(t - step, 0.0), min(t + step, 1.0)
    low, high = alpha_of(np.array([a, b]))
    return (high - low) / (b - a)


def test_two_nodes_are_joined_by_a_straight_line():
    weights = segment_weights(uniform(2))[0, 0]
    exact = quad(lambda u: (1 - u) * _measure(u), 0, 1)[0]
    np.testing.assert_allclose(weights, [exact, 1 - exact], rtol=1e-6)


def test_both_ends_stay_and_nodes_crowd_where_evidence_appears():
    alphas = alpha_of(uniform(65)[0])
    assert (alphas[0], alphas[-1]) == (0.0, 1.0)
    assert ((alphas > 0.1) & (alphas < 0.5)).sum() > 1.25 * 0.4 * 65


def test_the_error_falls_with_the_fourth_power():
    exact, _ = quad(lambda a: np.tanh(8 * a - 2), 0, 1, epsabs=1e-13)
    errors = [abs(segment_weights(uniform(n))[0].sum(0) @ np.tanh(8 * alpha_of(uniform(n)[0]) - 2) - exact) for n in (33, 65)]
    assert errors[1] < errors[0] / 8
    assert errors[1] < 1e-4


def test_paths_do_not_depend_on_each_other():
    t = np.stack([uniform(6)[0], alpha_of(uniform(6)[0])])
    np.testing.assert_array_equal(segment_weights(t)[1], segment_weights(t[1:])[0])


def test_the_correction_is_the_smallest_that_makes_the_known_integral_come_out():
    weights, slopes = np.array([0.25, 0.5, 0.25]), np.array([1.0, 3.0, 2.0])
    result = corrected(weights, slopes, np.array(2.5))
    assert result @ slopes == pytest.approx(2.5, abs=1e-14)
    # by hand: w·D = 2.25, Σ|w|D² = 5.75, so each weight grows by the factor 1 + D · 0.25 / 5.75
    np.testing.assert_allclose(result, weights * (1 + slopes * 0.25 / 5.75), rtol=1e-14)


def test_a_rule_that_is_right_stays_as_it_is_and_flat_paths_are_left_alone():
    weights = np.array([[0.5, 0.5], [0.5, 0.5]])
    result = corrected(weights, np.array([[1.0, 3.0], [0.0, 0.0]]), np.array([2.0, 1.0]))
    np.testing.assert_array_equal(result, weights)


@pytest.mark.parametrize(("n", "kept"), [(2, [0, 1]), (3, [0, 2]), (4, [0, 2, 3]), (9, [0, 2, 4, 6, 8])])
def test_the_coarser_rule_keeps_both_ends(n, kept):
    assert every_other(n).tolist() == kept


@pytest.mark.parametrize("n_points", [1, 4, 9])
def test_gauss_legendre_is_exact_to_its_degree(n_points):
    nodes, weights = gauss_legendre(n_points)
    assert weights @ nodes ** (2 * n_points - 1) == pytest.approx(1 / (2 * n_points), rel=1e-12)
