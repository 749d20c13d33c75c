"""Registry of drift statistics: one module and one setting give rows, a limit with its birth certificate, and null pairs."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from pydantic import Field

from components.drift import limits, noise
from components.drift.matching import collect
from components.drift.statistics import registry
from schemas.base import Direction
from schemas.config import DriftConfig, QualityConfig
from schemas.drift import Noise
from tests.helpers.drift_tables import example


class WithGain(DriftConfig):
    """The settings, and that of the added statistic."""

    gain: float = Field(default=0.4)


def gain(e, _):
    return float(e.candidate[0] - e.reference[0])


@pytest.fixture
def added(monkeypatch):
    """A module of the package with one judged statistic more."""
    statistic = registry.DriftStatistic(
        name="gain of the first word",
        measure=gain,
        direction=Direction.LOWER,
        definition="limit {gain}",
        limit=registry.Limit("gain", "stated prior: a choice of this test", 7),
        noise=registry.NoiseRange(best=0.0, worst=1.0),
    )
    module = ModuleType("components.drift.statistics.first_word")
    module.STATISTICS = (statistic,)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = [*registry.iter_modules(registry.package.__path__), type("Found", (), {"name": "first_word"})]
    monkeypatch.setattr(registry, "iter_modules", lambda _: found)
    registry.registered.cache_clear()
    yield statistic
    registry.registered.cache_clear()


def pairs_of(*means):
    made = [
        noise.null_pair("1", str(i), collect([example([0.0, 1.0], [mean, 0.5])] * 10, WithGain()), WithGain())
        for i, mean in enumerate(means)
    ]
    return Noise(sampling="", retraining="twins", pairs=tuple(made))


def test_the_statistics_that_come_with_calig():
    names = ["rank agreement", "top-k overlap", "sign-flip rate", "mass ratio", "reason change"]
    assert [one.name for one in registry.registered()] == names
    assert [limit.setting for _, limit in registry.judged()] == ["rank_agreement", "sign_flip"]


def test_an_added_module_gives_rows_that_fire(added):
    rows = registry.summarise(collect([example([0.0, 1.0], [0.5, 0.5])] * 40, WithGain()).examples, WithGain(), QualityConfig())
    found = {(row.name, row.slice): row for row in rows}[added.name, "all"]
    assert (found.value, found.fires, found.definition, found.n) == (pytest.approx(0.5), True, "limit 0.4", 40)


def test_an_added_module_gives_a_limit_with_its_certificate_and_null_pairs(added):
    config = WithGain()
    null = pairs_of(0.1, 0.5, 0.3)
    assert [pair.further for pair in null.pairs] == [{"gain": pytest.approx(v)} for v in (0.1, 0.5, 0.3)]
    in_force = limits.judged_by(config, null)
    assert in_force.gain == pytest.approx(0.6), "the 99th percentile is beyond 0.6: the cap of 1.5 acts"
    made = {t.name: t for t in limits.thresholds(config, in_force, null, "2026-01-01")}[added.name]
    assert (made.direction, made.n_null, made.set_by) == ("above fires", 3, "the measured noise")
    assert "largest 0.500" in made.source
    assert "drift.noise_cap" in made.source
    unmeasured = Noise(sampling="", retraining="prior")
    made = {t.name: t for t in limits.thresholds(config, config, unmeasured, "2026-01-01")}[added.name]
    assert (made.limit, made.source, made.n_null) == (0.4, "stated prior: a choice of this test", 7)
