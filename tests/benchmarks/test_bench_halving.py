"""The benchmark of halving on a small simulation, and its numbers from a hand-made pair."""

from __future__ import annotations

import json

from tests.benchmarks import bench_halving


def test_both_ways_see_the_same_versions_and_the_table_says_what_each_found(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_halving, "SIZES", (2_500,))
    monkeypatch.setattr(bench_halving, "TWINS", (2,))
    monkeypatch.setattr(bench_halving, "NOISE", ("alike",))
    monkeypatch.setattr(bench_halving, "PLANTED", (14.0,))
    bench_halving.bench(draws=2, output=tmp_path / "halving.json")
    report = json.loads((tmp_path / "halving.json").read_text(encoding="utf-8"))
    honest, planted = report["lines"]
    assert (honest["planted"], planted["planted"]) == (None, 14.0)
    assert planted["fail"] == planted["found"] == [2, 2]  # 14 times the noise is certain, either way
    assert honest["found"] == [0, 0]
    of_all, halved = report["texts"]["2500"]
    assert of_all == 2_500 * 16
    assert 0 < halved < of_all / 4
    assert "14 times the noise" in capsys.readouterr().out


def test_a_small_vocabulary_is_halved_by_the_products_shares():
    rounds = bench_halving._rounds_of_few(480, 16)
    assert [(one.n_words, one.n_contexts) for one in rounds] == [(480, 1), (160, 4), (115, 16)]
