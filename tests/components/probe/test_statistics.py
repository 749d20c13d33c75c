"""The noise of a word's change: against a literal version, by hand, and on noise whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

from components.probe.statistics import chance_limit, freedom_of, near_copy, shifts

N_WORDS, N_CONTEXTS = 60, 16


@pytest.fixture
def random():
    return np.random.default_rng(0)


def effects(random: np.random.Generator, scale: float = 1.0, n_directions: int = 2) -> np.ndarray:
    return scale * random.standard_normal((N_WORDS, N_CONTEXTS, n_directions))


def literal(family: list[np.ndarray], candidate: np.ndarray, direction: int) -> list[float]:
    """z of every word as the docstrings have it, one number at a time, before the words at large are looked at."""
    m, words = len(family), range(N_WORDS)
    effect = [[float(np.mean(version[w, :, direction])) for w in words] for version in family]
    centred = [[own - float(np.median(effects)) for own in effects] for effects in effect]
    own = [np.var([centred[v][w] for v in range(m)], ddof=1) for w in words]
    change = [
        [candidate[w, c, direction] - np.mean([v[w, c, direction] for v in family]) for c in range(N_CONTEXTS)] for w in words
    ]
    middle = np.median([np.mean(row) for row in change])
    z = []
    for w in words:
        prior = np.mean(own) + 0.3**2 / 2 * np.mean([centred[v][w] for v in range(m)]) ** 2
        moderated = (6 * prior + (m - 1) * own[w]) / (6 + m - 1)
        error = np.std(change[w], ddof=1) / np.sqrt(N_CONTEXTS)
        z.append(float((np.mean(change[w]) - middle) / np.sqrt(moderated * (1 + 1 / m) + error**2)))
    return z


def spread_of(z: list[float]) -> float:
    """By which z shrinks when the candidate moves the words at large further than the twins do."""
    kept = sorted(map(abs, z))[: int(0.98 * len(z))]
    return max(1.0, float(np.sqrt(np.mean(np.square(kept)))))


@pytest.mark.parametrize("n_twins", [1, 2, 4])
def test_with_twins_z_is_what_the_literal_version_gives(random, n_twins):
    family, candidate = [effects(random) for _ in range(1 + n_twins)], effects(random, 2.0)
    found = shifts(family[0], candidate, twins=family[1:])
    for direction in (0, 1):
        z = literal(family, candidate, direction)
        np.testing.assert_allclose(found.z[:, direction], np.array(z) / spread_of(z), rtol=1e-10)  # sums of float64


def test_without_twins_a_word_that_mattered_may_move_by_a_share_of_what_it_did():
    reference = np.zeros((N_WORDS, 2, 1))
    reference[0] = 10.0
    candidate = reference + np.where(np.arange(N_WORDS) % 2, 0.5, -0.5)[:, None, None]
    candidate[:2] += 2.0
    found = shifts(reference, candidate)
    mean = found.mean[:, 0]
    kept = np.sort(np.abs(mean))[: int(0.98 * N_WORDS)]
    spread = np.sqrt((kept**2).mean())
    assert found.z[0, 0] == pytest.approx(mean[0] / np.hypot(spread, 0.3 * 10.0))  # all contexts agree: no standard error
    assert found.z[1, 0] == pytest.approx(mean[1] / spread)
    assert found.noise[1, 0] == pytest.approx(spread)


def test_an_odd_reference_makes_no_word_suspicious_where_twins_show_it(random):
    reference, candidate, *twins = (effects(random, 0.1, 1) for _ in range(4))
    for version in (candidate, *twins):
        version[5] += 3.0
    alone, measured = shifts(reference, candidate), shifts(reference, candidate, twins=twins)
    assert abs(alone.z[5, 0]) > 10
    assert abs(measured.z[5, 0]) < 3


def test_twins_that_move_everything_hide_a_word_only_up_to_the_cap(random):
    reference, candidate, far = effects(random, 0.1, 1), effects(random, 0.1, 1), effects(random, 4.0, 1)
    candidate[5] += 3.0
    free, capped = (shifts(reference, candidate, twins=[reference + far, reference - far], noise_cap=c) for c in (np.inf, 1.5))
    assert free.uncapped is None
    assert capped.uncapped > 1.5
    assert abs(capped.z[5, 0]) > 3 * abs(free.z[5, 0])


def test_the_cap_leaves_honest_twins_alone(random):
    reference, candidate, *twins = (effects(random) for _ in range(4))
    free, capped = (shifts(reference, candidate, twins=twins, noise_cap=cap) for cap in (np.inf, 1.5))
    assert capped.uncapped is None
    np.testing.assert_array_equal(free.z, capped.z)


def test_a_near_copy_is_told_from_a_retraining(random):
    reference = effects(random, 2.0)
    assert near_copy(reference, reference)
    assert near_copy(reference, 1.01 * reference + 0.02 * effects(random))
    retrained = reference + 0.3 * reference.std() * effects(random)
    assert not near_copy(reference, retrained)
    constant = np.ones_like(reference)
    assert near_copy(constant, constant)
    assert not near_copy(constant, reference)


def test_noise_alone_exceeds_the_measured_limit_as_rarely_as_its_level_says(random):
    limit, exceeded = chance_limit(0.05, 400, freedom_of(N_CONTEXTS, 2)), 0
    for _ in range(200):
        versions = random.standard_normal((4, 400, 1, 1)) + 0.3 * random.standard_normal((4, 400, N_CONTEXTS, 1))
        exceeded += np.abs(shifts(versions[0], versions[1], twins=list(versions[2:])).z).max() >= limit
    assert exceeded <= 20  # 10 expected at most: normal tails are lighter, own variances with 2 + 6 degrees of freedom heavier


def test_a_version_that_moves_all_words_alike_singles_none_out(random):
    reference, *twins = (effects(random, 0.1, 1) for _ in range(3))
    candidate = np.repeat(3.0 * random.standard_normal((N_WORDS, 1, 1)), N_CONTEXTS, axis=1)
    assert np.abs(shifts(reference, candidate, twins=twins).z).max() < 4


def test_more_contexts_do_not_make_certain(random):
    reference, candidate = effects(random, n_directions=1), effects(random, n_directions=1)
    few, many = shifts(reference, candidate), shifts(np.tile(reference, (1, 4, 1)), np.tile(candidate, (1, 4, 1)))
    np.testing.assert_allclose(many.z, few.z, rtol=0.05)  # the sample's variance has n - 1 below: 16/15 against 64/63


def test_identical_versions_shift_nothing(random):
    same = effects(random)
    for twins in ([], [same, same]):
        assert np.abs(shifts(same, same, twins=twins).mean).max() < 1e-12  # rounding of float64 means
