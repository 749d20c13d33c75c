"""Adaptive integration of many paths: as many points as a path needs, none twice, honest flags."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from calig.integration import (
    PathValues,
    alpha_of,
    corrected,
    every_other,
    gauss_legendre,
    integrate_adaptively,
    integrate_alike,
    integrate_with,
    segment_weights,
)


class Problem:
    """Paths of known integrals: `parts[p]` maps α to the slopes of path p's positions, `seq`; f is their integral's sum."""

    def __init__(self, *parts):
        self.parts, self.asked = parts, []

    def f(self, path, alpha):
        return quad(lambda a: self.parts[path](a).sum(), 0, alpha, epsabs=1e-12, limit=200)[0]

    def evaluate(self, points):
        self.asked += points
        f = np.array([[self.f(*point)] for point in points])
        return f, np.stack([self.parts[path](alpha)[None] for path, alpha in points])

    def ends(self):
        known = []
        for path, part in enumerate(self.parts):
            f = np.array([[0.0], [self.f(path, 1.0)]])
            known.append(PathValues.at_ends(f, np.stack([part(0.0)[None], part(1.0)[None]])))
        return known

    def solve(self, **options):
        return integrate_adaptively(self.evaluate, self.ends(), **{"tolerance": 0.01, "max_points": 129, **options})


def rise(steepness, at=0.35):
    """Two positions that appear together around α = `at`, the second three times the first."""
    return lambda a: np.array([0.25, 0.75]) * steepness / np.cosh(steepness * (a - at)) ** 2


def exact(part):
    return np.array([quad(lambda a, i=i: part(a)[i], 0, 1, epsabs=1e-12, limit=200)[0] for i in range(len(part(0.0)))])


def test_values_and_completeness():
    problem = Problem(rise(0.5), rise(3.0), rise(12.0))
    for result, part in zip(problem.solve(), problem.parts, strict=True):
        np.testing.assert_allclose(result.attribution[0], exact(part), rtol=0.01)
        assert result.attribution.sum() == pytest.approx(exact(part).sum(), rel=1e-12)
        assert result.converged


def test_parts_that_appear_at_different_places_are_told_apart():
    part = lambda a: np.array([10 / np.cosh(10 * (a - 0.2)) ** 2, -4 / np.cosh(8 * (a - 0.6)) ** 2, 1.0])  # noqa: E731
    (result,) = Problem(part).solve()
    np.testing.assert_allclose(result.attribution[0], exact(part), atol=0.01 * np.abs(exact(part)).sum())


def test_steeper_paths_get_more_points_and_nearly_linear_ones_stop_at_once():
    flat, steep, steepest = Problem(rise(0.1), rise(12.0), rise(60.0)).solve()
    assert flat.n_points == 3
    assert flat.n_points < steep.n_points < steepest.n_points


def test_points_go_where_the_path_bends():
    problem = Problem(rise(80.0, at=0.7))
    problem.solve()
    near = [alpha for _, alpha in problem.asked if abs(alpha - 0.7) < 0.1]
    assert len(near) > len(problem.asked) / 2


def test_no_point_is_asked_for_twice_and_the_ends_never():
    problem = Problem(rise(0.1), rise(3.0), rise(20.0))
    results = problem.solve()
    assert len(problem.asked) == len(set(problem.asked)) == sum(r.n_points for r in results) - 2 * 3
    assert not {alpha for _, alpha in problem.asked} & {0.0, 1.0}


def test_a_path_does_not_depend_on_its_company():
    together = Problem(rise(2.0), rise(9.0), rise(30.0)).solve()
    for part, result in zip((rise(2.0), rise(9.0), rise(30.0)), together, strict=True):
        (alone,) = Problem(part).solve()
        np.testing.assert_allclose(result.attribution, alone.attribution, rtol=1e-12)
        assert result.n_points == alone.n_points


def test_a_path_beyond_the_budget_is_kept_and_flagged():
    flat, steep = Problem(rise(0.1), rise(200.0)).solve(max_points=9)
    assert (flat.converged, steep.converged) == (True, False)
    assert steep.residual > 0.01
    assert steep.n_points <= 9


def test_settled_sum_with_unsettled_parts_is_refined():
    """Two positions that cancel: the sum is right from the start, the parts are not."""
    bump = lambda a: np.exp(-(((a - 0.4) / 0.06) ** 2)) * np.array([1.0, -1.0])  # noqa: E731
    (result,) = Problem(bump).solve()
    np.testing.assert_allclose(result.attribution[0], exact(bump), rtol=0.01)
    assert result.converged
    assert result.n_points > 9


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_what_cancels_is_measured_against_its_mass(unit):
    """Two positions of ±10 units that add up to a thousandth of one: the error is held against 5 % of the 20."""
    bend = lambda a: unit * (10 + np.sin(9 * a)) * np.array([1.0, -1.0]) + np.array([1e-3 * unit, 0.0])  # noqa: E731
    (result,) = Problem(bend).solve(max_points=5)
    difference, mass = abs(exact(bend).sum()), np.abs(exact(bend)).sum()
    assert difference < 1e-4 * mass
    assert result.residual < 0.01
    (again,) = Problem(lambda a: bend(a) / unit).solve(max_points=5)
    assert result.residual == pytest.approx(again.residual, abs=1e-9)
    assert result.converged == again.converged


def test_a_path_on_which_nothing_happens_is_done():
    (result,) = Problem(lambda a: np.zeros(2)).solve()
    assert (result.residual, result.converged, result.n_points) == (0.0, True, 3)


def test_several_targets_share_their_points():
    """Each target is integrated by the same nodes, corrected for its own f."""
    first, second = rise(3.0), rise(20.0, at=0.6)

    def evaluate(points):
        one, two = Problem(first), Problem(second)
        parts = [p.evaluate([(0, alpha) for _, alpha in points]) for p in (one, two)]
        return np.concatenate([f for f, _ in parts], axis=1), np.concatenate([s for _, s in parts], axis=1)

    f, slopes = evaluate([(0, 0.0), (0, 1.0)])
    (result,) = integrate_adaptively(evaluate, [PathValues.at_ends(f, slopes)], tolerance=0.01, max_points=129)
    np.testing.assert_allclose(result.attribution, [exact(first), exact(second)], rtol=0.01)
    np.testing.assert_allclose(result.attribution.sum(-1), [exact(first).sum(), exact(second).sum()], rtol=1e-12)


def test_a_fixed_number_of_points_is_plain_gauss_legendre():
    problem = Problem(rise(3.0))
    (result,) = integrate_with(12, problem.evaluate, problem.ends(), tolerance=1e-4)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    expected = sum(w / 2 * rise(3.0)((1 + x) / 2) for x, w in zip(nodes, weights, strict=True))
    np.testing.assert_allclose(result.attribution[0], expected, rtol=1e-13)
    assert result.n_points == 12
    assert result.converged


def test_alike_asks_the_same_few_points_of_every_path():
    problem = Problem(rise(0.5), rise(12.0))
    results = integrate_alike(3, problem.evaluate, problem.ends(), tolerance=0.01)
    asked = [sorted(alpha for path, alpha in problem.asked if path == p) for p in (0, 1)]
    assert asked[0] == asked[1] == pytest.approx(alpha_of(np.array([0.25, 0.5, 0.75])))
    assert [result.n_points for result in results] == [5, 5]
    assert [result.converged for result in results] == [True, False], "the flag stays honest"
    for result, part in zip(results, problem.parts, strict=True):
        assert result.attribution.sum() == pytest.approx(exact(part).sum(), rel=1e-12)


def test_alike_is_the_first_look_of_the_adaptive_rule():
    problem = Problem(rise(12.0), rise(3.0))
    once = integrate_alike(1, problem.evaluate, problem.ends(), tolerance=0.01)
    for a, b in zip(once, problem.solve(max_points=3), strict=True):
        np.testing.assert_array_equal(a.attribution, b.attribution)


def test_the_errors_of_paths_alike_fall_out_of_their_difference():
    """A path moved by 1 %: by five points each, its change is known far better than either integral is."""
    part, moved = rise(6.0), lambda a: rise(6.0)(a) * np.array([1.01, 0.99])
    problem = Problem(part, moved)
    before, after = (r.attribution[0] for r in integrate_alike(3, problem.evaluate, problem.ends(), tolerance=0.01))
    change = exact(moved) - exact(part)
    np.testing.assert_allclose(after - before, change, atol=0.02 * np.abs(change).max())


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
