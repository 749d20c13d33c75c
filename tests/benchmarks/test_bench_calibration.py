"""The calibration benchmark: run from end to end, and its noise against the law that it is drawn from."""

import json

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks import bench_calibration
from tests.benchmarks.bench_calibration import _variances, bench


def test_a_line_says_alarms_and_what_was_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_calibration, "LAWS", {"d₀ 2": 2.0, "alike": np.inf})
    monkeypatch.setattr(bench_calibration, "WORDS", (300,))
    monkeypatch.setattr(bench_calibration, "TWINS", (0, 2))
    bench(draws=10, output=tmp_path / "calibration.json")
    lines = json.loads((tmp_path / "calibration.json").read_text())["lines"]
    assert [(line["law"], line["telling"], line["twins"]) for line in lines] == [
        (law, telling, twins) for law in ("d₀ 2", "alike") for telling in (True, False) for twins in (0, 2)
    ]
    assert all(line["interval"][0] <= line["false_alarms"] <= line["interval"][1] for line in lines)
    unlike, alike = ([line for line in lines if line["law"] == law] for law in ("d₀ 2", "alike"))
    assert all(line["found"]["12"] == 1.0 for line in alike)
    assert all(line["false_alarms"] <= 0.2 for line in alike)  # 5 % nominal: three of ten or more with 1 %
    assert unlike[-1]["false_alarms"] > 0.5, "what the words' noise does not tell, the limits do not know"
    assert "d₀ 2" in capsys.readouterr().out


@pytest.mark.parametrize("freedom", [2.0, 6.0])
def test_words_differ_by_the_law_of_the_prior(freedom):
    """Its inverse, times d₀, is χ² with d₀ degrees of freedom."""
    drawn = _variances(freedom, (20_000,), np.random.default_rng(0))
    assert stats.kstest(freedom / drawn, stats.chi2(freedom).cdf).pvalue > 0.01
