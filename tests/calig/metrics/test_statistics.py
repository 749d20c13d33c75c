"""The bootstrap against a literal loop, against scipy, and by its coverage; the random control by its seed."""

import numpy as np
import pytest
from scipy import stats

from calig.metrics import statistics
from calig.metrics.statistics import bootstrap_mean, random_attributions

VALUES = np.random.default_rng(1).normal(0.3, 1.0, size=80)


def test_equals_a_literal_loop_over_the_same_draws() -> None:
    random = np.random.default_rng(7)
    indices = random.integers(VALUES.size, size=(500, VALUES.size))
    means = sorted(sum(VALUES[i] for i in draw) / VALUES.size for draw in indices)
    result = bootstrap_mean(VALUES, draws=500, confidence=0.9, seed=7)
    assert result.mean == pytest.approx(VALUES.mean())
    assert (result.low, result.high) == pytest.approx((np.quantile(means, 0.05), np.quantile(means, 0.95)))
    assert result.n == 80


def test_agrees_with_scipy() -> None:
    ours = bootstrap_mean(VALUES, draws=20_000, confidence=0.95, seed=0)
    theirs = stats.bootstrap((VALUES,), np.mean, n_resamples=20_000, method="percentile", rng=3).confidence_interval
    # both are Monte Carlo estimates of the same quantiles; 0.01 is about five of their standard errors
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_covers_the_true_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    samples = random.exponential(1.0, size=(400, 60))
    intervals = [bootstrap_mean(sample, draws=300, confidence=0.9, seed=i) for i, sample in enumerate(samples)]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    assert 0.84 <= covered <= 0.94  # 0.9 less the percentile method's known small-sample loss, ± 3 standard errors


def test_blocks_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_mean(VALUES, draws=300, confidence=0.95, seed=2)
    monkeypatch.setattr(statistics, "_BLOCK", 10 * VALUES.size)
    assert bootstrap_mean(VALUES, draws=300, confidence=0.95, seed=2) == whole


def test_one_row_has_an_interval_without_width() -> None:
    assert bootstrap_mean(np.array([0.4]), draws=100, confidence=0.95, seed=0) == (0.4, 0.4, 0.4, 1)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf]])
def test_nothing_to_average_is_an_error(values: list[float]) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap_mean(np.array(values), draws=100, confidence=0.95, seed=0)


def test_random_orders_depend_on_seed_and_row_alone() -> None:
    one = random_attributions(12, draws=3, seed=0, row=5)
    assert one.shape == (3, 12)
    np.testing.assert_array_equal(one, random_attributions(12, draws=3, seed=0, row=5))
    assert (one != random_attributions(12, draws=3, seed=0, row=6)).all()
    assert (one != random_attributions(12, draws=3, seed=1, row=5)).all()
