"""The benchmark of many versions a day: run from end to end, and its counts on p-values that are known."""

import json

import numpy as np
import pytest

from tests.benchmarks import bench_online_level
from tests.benchmarks.bench_online_level import PLANTED, Simulated, bench, failures, outcome, policies


def test_a_line_says_alarms_levels_and_what_was_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_online_level, "NOISE", ((np.inf, 2),))
    bench(days=2, words=100, output=tmp_path / "online_level.json")
    lines = json.loads((tmp_path / "online_level.json").read_text())["lines"]
    assert [line["policy"] for line in lines] == [*policies()] * 3
    assert all(0.0 <= line["false_share"] <= 1.0 for line in lines)
    levels = {line["policy"]: line["median_level"] for line in lines if line["changed"] == 0.0}
    assert levels["none, 5.0%"] == 0.05
    assert levels["lord, floor 1.0%"] == 0.01
    assert "lord, floor 1.0%" in capsys.readouterr().out


def test_alarms_and_findings_are_counted_apart():
    """Half of the versions changed, all of them found; of the others every one is a false alarm at 5 %, and none at 1 %."""
    versions = Simulated(np.full(400, 0.03), np.zeros((400, len(PLANTED))))
    lenient, strict = (outcome(versions, lambda _, level=level: level, 0.5, 0) for level in (0.05, 0.01))
    n_changed = sum(of for _, of in lenient["found"].values())
    assert lenient["false_a_day"] == pytest.approx(20 * (400 - n_changed) / 400)
    assert lenient["false_share"] == pytest.approx((400 - n_changed) / 400)
    assert (strict["false_a_day"], strict["false_share"]) == (0.0, 0.0)
    assert all(n == of for n, of in strict["found"].values())


def test_each_version_is_held_against_the_level_of_those_before_it():
    failed, levels = failures(np.array([0.04, 0.04, 0.04]), lambda failed: 0.01 if any(failed) else 0.05)
    assert failed.tolist() == [True, False, False]
    assert levels.tolist() == [0.05, 0.01, 0.01]
