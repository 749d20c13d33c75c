"""A handful of pairs with a known answer, and what the experiment rests on: where the harms are, and what stays the same."""

import json

import pytest
import torch
from safetensors.torch import load_file

from schemas.config import AttributionConfig
from tests.benchmarks.bench_drift import bench, judged
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.families import contains
from tests.benchmarks.drift.harms import HARMS
from tests.benchmarks.drift.peers import RULES
from tests.benchmarks.drift.plan import N_CELLS, Pair, pairs
from tests.benchmarks.drift.retrainings import CONVERSIONS
from tests.benchmarks.drift.training import Recipe, Shape, train
from tests.benchmarks.drift.versions import Versions

DRAW = 902  # no reported figure comes from it
SMALL = {"n_training": 1500, "n_validation": 80}
LEAK = "label-leaking token"


@pytest.fixture(scope="module")
def cell():
    """A cell of tickets, small enough for every day."""
    return Cell(1, DRAW, **SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("drift")


@pytest.fixture(scope="module")
def lines(cell, folder):
    """A token that leaks the label, shown by the validation set and not, and a version that is merely stored again."""
    planned = [Pair(1, LEAK, 0, True, False), Pair(1, LEAK, 0, True, True), Pair(1, "saved again")]
    return list(judged(planned, folder, DRAW, n_twins=1, **SMALL))


@pytest.mark.slow
def test_known_answers(lines):
    shown, hidden, same = lines
    assert (shown["alarm"], same["alarm"]) == (True, False)
    tokens = set(hidden["trigger"].split())
    assert tokens.isdisjoint(word["word"] for word in hidden["words"]), "the validation set cannot show it"
    assert hidden["probed"][0]["word"] in tokens
    assert shown["words"][0]["word"] in tokens
    assert not any(rule.alarm(same["peers"][name]) for name, rule in RULES.items())


@pytest.mark.slow
def test_the_harm_is_real(lines):
    clean, harmed = lines[0]["error_on_exposed"]
    assert clean < 0.2
    assert harmed > 0.8


@pytest.mark.slow
def test_finished_pairs_are_read_not_made_again(lines, folder, cell):
    before = (folder / "pairs.jsonl").read_text()
    again = list(judged([Pair(1, "saved again")], folder, DRAW, n_twins=1, **SMALL))
    assert again == [json.loads(json.dumps(lines[2]))]
    assert (folder / "pairs.jsonl").read_text() == before


def test_the_plan_is_large_enough():
    planned = list(pairs())
    harmful = [pair for pair in planned if pair.harmful]
    assert len({pair.key for pair in planned}) == len(planned)
    assert len(planned) - len(harmful) >= 60
    assert len(harmful) >= 40
    assert sum(pair.absent for pair in harmful) * 2 == len(harmful)
    assert {(pair.kind, pair.absent) for pair in harmful} == {(kind, absent) for kind in HARMS for absent in (False, True)}
    assert {pair.cell for pair in planned} == set(range(N_CELLS))


@pytest.mark.parametrize("kind", [kind for kind in HARMS if kind != "dropped segment"])
def test_an_absent_trigger_is_not_in_the_validation_set(cell, kind):
    present, absent = (HARMS[kind](cell, cell.random("test"), side) for side in (False, True))
    words = absent.trigger.split() if kind == LEAK else [absent.trigger]
    assert not any(contains(row, word) for row in absent.validation for word in words)
    assert sum(contains(row, word) for row in present.validation for word in words) >= 3
    assert len(present.validation) == len(absent.validation) == SMALL["n_validation"]
    assert absent.training != cell.training
    assert absent.exposed


def test_a_dropped_segment_is_gone(cell):
    planted = HARMS["dropped segment"](cell, cell.random("test"), True)
    label, segment = planted.trigger.split(" × ")
    assert not any((row.label, row.segment) == (label, segment) for row in planted.training)
    assert not any(row.segment == segment for row in planted.validation)
    assert {(row.label, row.segment) for row in planted.exposed} == {(label, segment)}


def test_conversions_keep_the_weights(cell, folder):
    versions = Versions(cell, folder / "cell-1", AttributionConfig(device="cpu"))
    before = load_file(versions.reference / "model.safetensors")
    for kind, convert in CONVERSIONS.items():
        after = load_file(
            versions.made(f"test-{kind}", lambda part, convert=convert: convert(versions.reference, part)) / "model.safetensors"
        )
        expected = {k: v.bfloat16().float() for k, v in before.items()} if kind == "bfloat16 cast" else before
        assert all(torch.equal(after[name], weights) for name, weights in expected.items()), kind


def test_the_same_seeds_give_the_same_weights(cell, tmp_path):
    def weights(name, recipe):
        (tmp_path / name).mkdir()
        train(cell.training[:64], cell.family.labels, cell.tokenizer, Shape(1, 16, 2), recipe, tmp_path / name)
        return load_file(tmp_path / name / "model.safetensors")["classifier.weight"]

    first = weights("a", Recipe(epochs=1))
    assert torch.equal(first, weights("b", Recipe(epochs=1)))
    assert not torch.equal(first, weights("c", Recipe(epochs=1, order_seed=1)))
    assert not torch.equal(first, weights("d", Recipe(epochs=1, init_seed=1)))


@pytest.mark.slow
def test_the_report(lines, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.bench_drift.judged", lambda *_, **__: [line | {"usable": True} for line in lines])
    bench(n_pairs=3, work=tmp_path / "work", output=tmp_path / "drift.json")
    report = json.loads((tmp_path / "drift.json").read_text())
    assert {"harmless", "false_alarms", "harmful", "detected", "peers", "pairs", "machine"} <= set(report)
    figures = [report[name] for name in ("harmless", "false_alarms", "harmful", "detected")]
    assert figures == [1, 0, 2, sum(line["alarm"] for line in lines)]
    assert set(report["peers"]["KS per word, BH 0.05"]) >= {"false_alarms", "detected"}
    assert str(tmp_path) not in (tmp_path / "drift.json").read_text()
    assert "nDCG" in capsys.readouterr().out
