"""The benchmark of growing rows: exponents by hand, and every step around attribution runs on a few rows."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import stages
from tests.benchmarks.bench_scale import examples_of, write_part
from tests.benchmarks.stages import exponents


def case(stage, rows, cpu_seconds, peak):
    return {"stage": stage, "rows": rows, "cpu_seconds": cpu_seconds, "peak_increase_mb": peak, "peak_mb": 500 + peak}


def test_exponents_and_ratios_by_hand():
    """Four times the time for ten times the rows; another step measured once, and one from before there were CPU seconds."""
    older = {"stage": "quality", "rows": 10, "seconds": 1.0, "peak_increase_mb": 1.0}
    found = exponents([case("drift", 1000, 8.0, 110), case("drift", 100, 2.0, 100), case("report", 100, 1.0, 1), older])
    assert found == {
        "drift": {
            "exponent": pytest.approx(0.60206),
            "peak_increase_ratio": pytest.approx(1.1),
            "peak_ratio": pytest.approx(610 / 600),
        }
    }


def test_parts_that_were_not_measured_stay(tmp_path):
    write_part(tmp_path / "scale.json", "cases", [1])
    write_part(tmp_path / "scale.json", "later_stages", {"cases": []})
    assert json.loads((tmp_path / "scale.json").read_text()) == {"cases": [1], "later_stages": {"cases": []}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages")
    stages.prepare(examples_of(None, 70), 70, folder)
    return folder


@pytest.mark.parametrize("stage", stages.STAGES)
def test_every_step_around_attribution_runs(prepared, stage):
    stages._work(stage, prepared)()
