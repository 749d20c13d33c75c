"""The benchmark of a whole run: its clock counts every second once, and it runs from end to end on a tiny model."""

import json
from importlib import import_module

import pytest

from tests.benchmarks import release_run
from tests.benchmarks.bench_release import AFTER, bench, share
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
def test_from_end_to_end(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "")  # the benchmark sets both for the processes it starts
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
    model, rows = save_tiny_bert(tmp_path / "model"), tmp_path / "rows.jsonl"
    texts = [" ".join(WORDS[start : start + 6]) for start in range(3)]
    rows.write_text("".join(json.dumps({"text": text, "label": "POS"}) + "\n" for text in texts))
    bench(sizes=[3], model=model, rows=rows, name="tiny", words=5, output=tmp_path / "release.json")
    text = (tmp_path / "release.json").read_text()
    alone, compared = json.loads(text)["cases"]
    assert str(tmp_path) not in text
    for case in (alone, compared):
        stages = case["stages"]
        assert list(stages) == list(STAGES)
        assert all(stages[stage]["cpu_seconds"] > 0 for stage in ("start-up", "attribution", "falsification", "quality"))
        assert 0 < case["until_first_row"]["seconds"] < sum(figures["seconds"] for figures in stages.values())
        assert case["after_attribution"] == share(stages)
    assert compared["stages"]["drift"]["cpu_seconds"] > alone["stages"]["drift"]["cpu_seconds"]
    assert compared["stages"]["probe"]["cpu_seconds"] > alone["stages"]["probe"]["cpu_seconds"]
    assert "until the first row" in capsys.readouterr().out
