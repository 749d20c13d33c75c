"""LORD++ against its formula taken literally and against levels worked out by hand; bounds that hold whatever came before."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.probe.comparison import could_not_probe
from components.probe.online_level import decay, lord_level, with_level
from schemas.base import Severity, Threshold
from schemas.probe import ProbeLevel

ALPHA = 0.05
OUTCOMES = st.lists(st.booleans(), max_size=60)


def gamma(j: int) -> float:
    return 0.0722 * math.log(max(j, 2)) / (j * math.exp(math.sqrt(math.log(j))))


def literal(failed: list[bool], alpha: float) -> float:
    """LORD++ as the paper writes it, term by term, with W₀ = α / 2."""
    t, w0 = len(failed) + 1, alpha / 2
    times = [i for i, rejected in enumerate(failed, start=1) if rejected]
    level = gamma(t) * w0
    if times:
        level += (alpha - w0) * gamma(t - times[0])
    for tau in times[1:]:
        level += alpha * gamma(t - tau)
    return level


@settings(deadline=None)
@given(OUTCOMES)
def test_it_is_the_papers_formula(failed):
    assert lord_level(failed, ALPHA, 1e-12) == pytest.approx(literal(failed, ALPHA), rel=1e-12)


def test_the_first_levels_by_hand():
    # γ₁ = 0.0722 · ln 2, γ₂ = 0.0722 · ln 2 / (2 · e^√ln 2), γ₃ = 0.0722 · ln 3 / (3 · e^√ln 3)
    assert decay(np.arange(1, 4)) == pytest.approx([0.0500452, 0.0108832, 0.0092695], rel=1e-5)
    assert lord_level([], ALPHA, 1e-12) == pytest.approx(0.025 * 0.0500452, rel=1e-5)
    assert lord_level([False], ALPHA, 1e-12) == pytest.approx(0.025 * 0.0108832, rel=1e-5)
    assert lord_level([True], ALPHA, 1e-12) == pytest.approx(0.025 * 0.0108832 + 0.025 * 0.0500452, rel=1e-5)
    third = 0.025 * 0.0092695 + 0.025 * 0.0108832 + 0.05 * 0.0500452
    assert lord_level([True, True], ALPHA, 1e-12) == pytest.approx(third, rel=1e-5)


def test_gamma_spends_no_more_than_there_is():
    """Σ γ_j ≤ 1: the sum of the first million, and beyond it the integral of 0.0722 u e^−√u over u = log j, by parts."""
    root = math.sqrt(math.log(1e6))
    tail = 0.0722 * 2 * math.exp(-root) * (root**3 + 3 * root**2 + 6 * root + 6)
    assert 0.85 < decay(np.arange(1, 1_000_001)).sum() + tail <= 1.0


@settings(deadline=None)
@given(OUTCOMES, st.floats(1e-4, 0.5), st.floats(1e-4, 0.5))
def test_the_level_stays_between_floor_and_configuration(failed, level, floor):
    assert min(level, floor) <= lord_level(failed, level, floor) <= level


@settings(deadline=None)
@given(OUTCOMES, st.integers(0, 59))
def test_a_failure_more_never_lowers_the_level(failed, at):
    """Who hides that a version failed can lower the level, to the floor at most; who makes versions fail only raises it."""
    more = [outcome or place == at for place, outcome in enumerate(failed)]
    assert lord_level(more, ALPHA, 1e-12) >= lord_level(failed, ALPHA, 1e-12) * (1 - 1e-12)


def test_two_hundred_harmless_versions_do_not_push_the_level_below_the_floor():
    assert lord_level([False] * 200, ALPHA, 1e-12) < 1e-5, "without a floor nothing would be found any more"
    assert lord_level([False] * 200, ALPHA, 0.01) == 0.01


def threshold(**changed) -> Threshold:
    limit = {"name": "|z| of a word", "limit": 5.0, "direction": "above fires", "source": "noise", "date": "2026-01-31"}
    return Threshold.model_validate(limit | {"severity": Severity.CRITICAL, "set_by": "calig's rule"} | changed)


def test_the_limits_that_follow_from_the_level_say_so():
    certificates = (threshold(), threshold(severity=Severity.WARNING), threshold(set_by="the configuration file"))
    report = could_not_probe("", next_step="").model_copy(update={"thresholds": certificates})
    level = ProbeLevel(rule="LORD++", level=0.02, configured=ALPHA, floor=0.01, earlier=("1", "2", "4"), failed=("2",))
    found = with_level(report, level)
    assert found.level == level
    assert found.thresholds[0].source == (
        "noise; the level is LORD++'s after 3 earlier versions, 1 failed; between 0.01 and 0.05 (probe.across_versions)"
    )
    assert found.thresholds[1:] == certificates[1:]


def test_a_doubt_is_part_of_the_birth_certificate():
    level = ProbeLevel(rule="none", level=ALPHA, configured=ALPHA, doubt="version 3 left evidence that cannot be used")
    report = with_level(could_not_probe("", next_step="").model_copy(update={"thresholds": (threshold(),)}), level)
    assert "could not be followed: version 3 left evidence that cannot be used" in report.thresholds[0].source
