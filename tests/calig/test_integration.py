"""Adaptive integration of many rows: as many points as a row needs, none twice, and honest flags."""

import numpy as np
import pytest

from calig.integration import DIFFERENCE_FLOOR, integrate_adaptively


def sharp(k, alpha):
    """Slope of tanh(k α) at α: its integral is tanh(k)."""
    return k / np.cosh(k * alpha) ** 2


def run(steepness, **options):
    steepness = np.array(steepness, dtype=float)
    asked = []

    def slope(alphas, rows):
        asked.extend((float(a), int(r)) for a in alphas for r in rows)
        values = sharp(steepness[rows][None], alphas[:, None])
        return np.stack([values * 0.25, values * 0.75], axis=-1)

    ends = np.stack([sharp(steepness, a)[:, None] * [0.25, 0.75] for a in (0.0, 1.0)])
    result = integrate_adaptively(slope, ends, np.tanh(steepness), **{"tolerance": 0.01, "max_points": 129, **options})
    return result, asked


def test_values_and_completeness():
    result, _ = run([0.5, 2.0, 10.0])
    np.testing.assert_allclose(result.attribution.sum(-1), np.tanh([0.5, 2.0, 10.0]), rtol=0.01)
    np.testing.assert_allclose(result.attribution[:, 1], 3 * result.attribution[:, 0], rtol=1e-12)
    assert result.converged.all()


def test_steeper_rows_get_more_points_and_flat_ones_stop_early():
    result, _ = run([0.1, 20.0, 90.0])
    assert result.n_points[0] < result.n_points[1] < result.n_points[2]


def test_no_point_is_asked_for_twice_and_the_ends_never():
    result, asked = run([0.1, 3.0, 20.0])
    assert len(asked) == len(set(asked)) == result.n_points.sum() - 2 * 3
    assert not {a for a, _ in asked} & {0.0, 1.0}


def test_a_row_beyond_the_budget_is_kept_and_flagged():
    result, _ = run([0.1, 100.0], max_points=9)
    assert result.converged.tolist() == [True, False]
    assert result.residual[1] > 0.01


def test_settled_sum_with_unsettled_parts_is_refined():
    """Two positions that cancel: the sum is right from the start, the parts are not."""

    def slope(alphas, rows):
        wave = np.sin(7 * np.pi * alphas) ** 2
        return np.stack([wave, -wave], axis=-1)[:, None, :].repeat(len(rows), axis=1)

    result = integrate_adaptively(slope, np.zeros((2, 1, 2)), np.zeros(1), tolerance=0.01, max_points=129)
    np.testing.assert_allclose(result.attribution[0], [0.5, -0.5], rtol=0.01)


def test_tiny_differences_are_measured_against_the_floor():
    ends = np.full((2, 1, 1), 1e-3)
    result = integrate_adaptively(
        lambda a, r: np.full((len(a), len(r), 1), 1e-3), ends, np.array([1.5e-3]), tolerance=0.01, max_points=9
    )
    assert result.residual[0] == pytest.approx(0.5e-3 / DIFFERENCE_FLOOR)
    assert result.converged[0]
