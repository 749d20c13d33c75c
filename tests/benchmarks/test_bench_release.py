"""The benchmark of a whole run: its clock counts every second once, and it runs from end to end on a tiny model."""

import json
import os
from importlib import import_module

import pytest

from tests.benchmarks import bench_release, release_run
from tests.benchmarks.bench_release import AFTER, Versions, share
from tests.benchmarks.release_run import STAGES, STEPS, StageClock
from tests.helpers.tiny_models import WORDS, save_tiny_bert


class Hands:
    """Two clocks that only work moves, wall-clock seconds twice as fast."""

    def __init__(self):
        self.worked = 0.0

    def time(self):
        return self.began + 2 * self.worked

    def process_time(self):
        return self.worked

    def work(self, seconds):
        self.worked += seconds


@pytest.fixture
def hands(monkeypatch):
    hands = Hands()
    monkeypatch.setattr(release_run, "time", hands.time)
    monkeypatch.setattr(release_run, "process_time", hands.process_time)
    return hands


def test_every_second_is_counted_once(hands, tmp_path):
    clock = StageClock()
    hands.began = clock._began
    hands.work(3)
    clock.of("reading", lambda: hands.work(1))()
    clock.note_first_row()
    assert clock.first_row is None, "no attribution has begun"

    def attribute():
        hands.work(4)
        clock.note_first_row()
        clock.of("record", lambda: hands.work(2))()
        hands.work(1)

    clock.of("attribution", attribute)()
    with pytest.raises(ValueError, match="broken"):
        clock.of("quality", lambda: (hands.work(5), int("broken")))()
    hands.work(7)
    clock.write(tmp_path / "clock.json")
    found = json.loads((tmp_path / "clock.json").read_text())
    spent = {stage: figures["cpu_seconds"] for stage, figures in found["stages"].items() if figures["cpu_seconds"]}
    assert spent == {"start-up": 3, "reading": 1, "attribution": 5, "record": 2, "quality": 5, "other": 7}
    assert found["until_first_row"] == pytest.approx({"seconds": 16, "cpu_seconds": 8})
    for figures in found["stages"].values():
        assert figures["seconds"] == pytest.approx(2 * figures["cpu_seconds"], abs=1e-5)


def test_the_steps_are_those_of_the_flow():
    flow = import_module("flows.explain_release")
    for name in STEPS:
        step = flow
        for part in name.split("."):
            step = getattr(step, part)
        assert callable(step)


def test_the_share_is_of_attribution_and_leaves_out_start_and_probe():
    stages = {stage: {"cpu_seconds": 1.0} for stage in STAGES} | {"attribution": {"cpu_seconds": 10.0}}
    assert share(stages) == pytest.approx(len(AFTER) / 10)
    assert {"start-up", "reading", "estimate", "probe", "attribution"}.isdisjoint(AFTER)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_version_after_its_reference(tmp_path):
    before, after = (save_tiny_bert(tmp_path / f"model-{seed}", seed=seed) for seed in (0, 1))  # equal ones share their tables
    rows = tmp_path / "rows.jsonl"
    texts = [" ".join(WORDS[start : start + 6]) for start in range(3)]
    rows.write_text("".join(json.dumps({"text": text, "label": "POS"}) + "\n" for text in texts))
    case = bench_release.measure(Versions(before, after, rows), 3, True, 5, tmp_path / "run")
    stages = case["stages"]
    assert list(stages) == list(STAGES)
    for stage in ("start-up", "reading", "attribution", "falsification", "quality", "drift", "probe", "report", "logging"):
        assert stages[stage]["cpu_seconds"] > 0, stage
    assert 0 < case["until_first_row"]["seconds"] < sum(figures["seconds"] for figures in stages.values())
    assert case["after_attribution"] == share(stages)


def test_results_name_no_folder_and_leave_other_parts(tmp_path, monkeypatch, capsys):
    stages = {stage: {"seconds": 2.0, "cpu_seconds": 1.0} for stage in STAGES}
    asked = []

    def measure(versions, n, against, words, folder):
        asked.append((n, against))
        return {"rows": n, "reference": against, "stages": stages, "until_first_row": stages["record"], "after_attribution": 0.5}

    monkeypatch.setattr(bench_release, "measure", measure)
    output = tmp_path / "release.json"
    output.write_text(json.dumps({"falsification": "kept"}))
    with monkeypatch.context() as environment:
        environment.setattr("os.environ", dict(os.environ))
        bench_release.bench(
            sizes=[4], model=tmp_path, reference=tmp_path, rows=tmp_path / "rows.jsonl", name="tiny", output=output
        )
    found = json.loads(output.read_text())
    assert asked == [(1, False), (4, False), (4, True)], "the first one is not measured"
    assert found["falsification"] == "kept"
    assert [(case["rows"], case["reference"]) for case in found["cases"]] == [(4, False), (4, True)]
    assert str(tmp_path) not in output.read_text()
    assert "1.0 (2.0)" in capsys.readouterr().out


def test_too_few_rows_are_refused_before_any_run(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n')
    with pytest.raises(SystemExit, match="got: 1\nallowed: at least 4"):
        bench_release.measure(Versions(tmp_path, tmp_path, rows), 4, False, 5, tmp_path / "run")
