"""A handful of pairs with a known answer, and what the experiment rests on: where the harms are, and what stays the same."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig
from schemas.drift import WordShift
from tests.benchmarks.bench_drift import bench, judged
from tests.benchmarks.drift.cells import VARIETIES, Cell
from tests.benchmarks.drift.comparing import CONDITIONS, frontier
from tests.benchmarks.drift.families import contains
from tests.benchmarks.drift.harms import CASED, GENERAL, HARMS, LONG, MANY_CLASSES
from tests.benchmarks.drift.kept import Kept
from tests.benchmarks.drift.peers import RULES
from tests.benchmarks.drift.plan import N_CELLS, Pair, pairs
from tests.benchmarks.drift.pretrained import judged_pretrained, read_manifest
from tests.benchmarks.drift.reading import read
from tests.benchmarks.drift.retrainings import CONVERSIONS, RETRAININGS, SAME_FUNCTION, common_shift
from tests.benchmarks.drift.scoring import probabilities_of, scorer
from tests.benchmarks.drift.summary import alarms
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
    assert all(alarms(shown, condition) for condition in CONDITIONS)
    assert not any(alarms(same, condition) for condition in CONDITIONS)
    tokens = set(hidden["trigger"].split())
    assert tokens.isdisjoint(word["word"] for word in hidden["shifts"]), "the validation set cannot show it"
    assert hidden["probed"]["nothing"][0]["word"] in tokens
    assert shown["shifts"][0]["word"] in tokens
    assert not any(rule.alarm(same["peers"][name]) for name, rule in RULES.items())


@pytest.mark.slow
def test_the_harm_is_real(lines):
    clean, harmed = lines[0]["error_on_exposed"]
    assert clean < 0.2
    assert harmed > 0.8


@pytest.mark.slow
def test_finished_pairs_are_read_not_made_again(lines, folder):
    path = folder / "cell-1" / "pairs.jsonl"
    before = path.read_text()
    again = list(judged([Pair(1, "saved again")], folder, DRAW, n_twins=1, **SMALL))
    assert again == [json.loads(json.dumps(lines[2]))]
    assert path.read_text() == before


def test_the_plan_is_large_enough():
    planned = list(pairs())
    harmful = [pair for pair in planned if pair.harmful]
    assert len({pair.key for pair in planned}) == len(planned)
    assert sum(pair.group == "retraining" for pair in planned) >= 105, "some are given up, 100 are needed"
    assert sum(pair.absent for pair in harmful) == pytest.approx(len(harmful) / 2, abs=3)
    assert {(pair.kind, pair.absent) for pair in harmful} == {(kind, absent) for kind in HARMS for absent in (False, True)}
    assert min(sum(pair.kind == kind for pair in harmful) for kind in HARMS) >= 5
    assert {pair.kind for pair in planned if not pair.harmful} == {*RETRAININGS, *CONVERSIONS}
    assert {pair.cell for pair in planned} == set(range(N_CELLS))


NO_WORDS = ("dropped segment", "group of names")  # what is planted there is not one word or phrase


@pytest.mark.parametrize("kind", [kind for kind in (*GENERAL, *MANY_CLASSES, *LONG) if kind not in NO_WORDS])
def test_an_absent_trigger_is_not_in_the_validation_set(cell, kind):
    present, absent = (HARMS[kind](cell, cell.random("test"), side) for side in (False, True))
    words = absent.trigger.split() if kind == LEAK else [absent.trigger.removesuffix(" first")]
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


def test_phrase_and_first_word_say_nothing_but_in_their_place(cell):
    """Of 1,500 rows in three classes, less those with the trigger: shares of rows with a word differ by chance, about 0.03."""
    phrase = HARMS["phrase of two words"](cell, cell.random("test"), True)
    first = HARMS["first word"](cell, cell.random("test"), True)
    word = first.trigger.removesuffix(" first")
    rests = (
        (phrase.trigger.split()[0], [row for row in phrase.training if not contains(row, phrase.trigger)]),
        (word, [row for row in first.training if not row.text.startswith(f"{word} ")]),
    )
    for one, rest in rests:
        shares = [_share(rest, label, lambda row, one=one: contains(row, one)) for label in cell.family.labels]
        assert max(shares) - min(shares) < 0.12
        assert min(shares) > 0.05
    together = [_share(phrase.training, label, lambda row: contains(row, phrase.trigger)) for label in cell.family.labels]
    at_front = [_share(first.training, label, lambda row: row.text.startswith(f"{word} ")) for label in cell.family.labels]
    for shares in (together, at_front):
        assert max(shares) > 0.3
        assert sorted(shares)[-2] < 0.06


def test_names_of_one_group_lean_to_a_class(cell):
    planted = HARMS["group of names"](cell, cell.random("test"), False)
    group = set(cell.triggers.names[0])

    def share(rows, label):
        found = [word in group for row in rows if row.label == label for word in row.text.split() if word in group | others]
        return sum(found) / len(found)

    others = set(cell.triggers.names[1])
    clean = [share(cell.training, label) for label in cell.family.labels]
    leaning = sorted(share(planted.training, label) for label in cell.family.labels)
    assert max(abs(value - 0.5) for value in clean) < 0.15  # 120 names a class: standard error 0.05
    assert leaning[-1] > 0.7
    assert leaning[-2] < 0.3
    hidden = HARMS["group of names"](cell, cell.random("test"), True).validation
    assert not any(word in group | others for row in hidden for word in row.text.split())


def test_capitals_are_spelled_out_by_a_tokenizer_that_sees_them():
    place = next(index for index, variety in enumerate(VARIETIES) if variety.cased)
    cased = Cell(place, DRAW, **SMALL)
    planted = CASED["capitals"](cased, cased.random("test"), False)
    word = next(word for row in planted.exposed for word in row.text.split() if word.isupper() and len(word) > 3)
    assert len(cased.tokenizer.tokenize(word)) == len(word)
    assert cased.tokenizer.unk_token not in cased.tokenizer.tokenize(word)
    hidden = CASED["capitals"](cased, cased.random("test"), True).validation
    assert not any(word.isupper() and len(word) > 3 for row in hidden for word in row.text.split())


def test_long_texts_are_long_and_ten_classes_are_ten():
    long = Cell(len(VARIETIES) - 1, DRAW, n_training=40, n_validation=20)
    lengths = [len(ids) for ids in long.tokenizer([row.text for row in long.training])["input_ids"]]
    assert min(lengths) >= 133
    assert max(lengths) <= long.shape.positions
    assert len(Cell(2, DRAW, **SMALL).family.labels) == 10


def _share(rows, label, holds):
    found = [holds(row) for row in rows if row.label == label]
    return sum(found) / len(found)


@pytest.fixture(scope="module")
def quick(cell, folder):
    """Versions of the cell, the reference trained for a moment: what is true of them is true of any weights."""
    versions = Versions(cell, folder / "quick", AttributionConfig(device="cpu"))
    recipe = Recipe(epochs=1)
    versions.made("reference", lambda part: _train(cell, 200, recipe, part))
    return versions


def _train(cell, n, recipe, folder):
    train(cell.training[:n], cell.family.labels, cell.tokenizer, Shape(1, 16, 2), recipe, folder)


@pytest.fixture(scope="module")
def converted(quick):
    """The reference and each conversion of it."""
    return {
        kind: quick.made(f"test-{kind}", lambda part, convert=convert: convert(quick.reference, part))
        for kind, convert in CONVERSIONS.items()
    }


def test_conversions_keep_the_weights(quick, converted):
    before = load_file(quick.reference / "model.safetensors")
    for kind in ("bfloat16 cast", "ONNX round trip", "saved again"):
        after = load_file(converted[kind] / "model.safetensors")
        expected = {k: v.bfloat16().float() for k, v in before.items()} if kind == "bfloat16 cast" else before
        assert all(torch.equal(after[name], weights) for name, weights in expected.items()), kind


def test_deployments_change_weights_by_as_much_as_they_say(quick, converted):
    before, small, cut = (
        load_file(side / "model.safetensors") for side in (quick.reference, converted["int8"], converted["pruned"])
    )
    matrices = [name for name, weights in before.items() if weights.dim() == 2]
    for name in matrices:
        step = before[name].abs().max() / 127
        assert (small[name] - before[name]).abs().max() <= step / 2 * 1.001
        assert len(small[name].unique()) <= 255
        assert (cut[name] == 0).float().mean() == pytest.approx(0.2, abs=2 / cut[name].numel() + 0.01)


def test_what_is_called_the_same_function_answers_alike(quick, cell, converted):
    """A cast to bfloat16 keeps eight bits; a shift of the head is undone by the softmax, up to float32."""
    texts = [row.text for row in cell.pool[:20]]
    before = probabilities_of(quick.reference, texts)
    for kind in SAME_FUNCTION:
        error = 0.05 if kind == "bfloat16 cast" else 1e-5
        assert abs(probabilities_of(converted[kind], texts) - before).max() < error, kind
    shifted = scorer(converted["common shift of the head"])(texts)
    assert abs(shifted - scorer(quick.reference)(texts)).max() > 0.1


def test_a_saved_version_can_be_changed_in_its_place(quick, converted, tmp_path):
    """As the shortcut with a common shift is made: trained, saved, shifted in the same folder."""
    copied = Path(shutil.copytree(quick.reference, tmp_path / "copied"))
    common_shift(copied, copied)
    apart, in_place = (load_file(f / "model.safetensors") for f in (converted["common shift of the head"], copied))
    assert all(torch.equal(weights, apart[name]) for name, weights in in_place.items())


def test_rows_explained_in_parts_are_those_explained_at_once(quick, cell, tmp_path):
    rows = cell.pool[:6]
    config = AttributionConfig(device="cpu")
    apart, at_once = Kept(tmp_path / "apart", config), Kept(tmp_path / "once", config)
    apart.explained(quick.reference, rows[2:5])
    before, after = (read(kept.explained(quick.reference, rows)) for kept in (apart, at_once))
    assert [row["id"] for row in before] == [row["id"] for row in after] == [str(i) for i in range(6)]
    for a, b, row in zip(before, after, rows, strict=True):
        assert [w["text"] for w in a["words"]] == [w["text"] for w in b["words"]]
        assert [w["value"] for w in a["words"]] == pytest.approx([w["value"] for w in b["words"]], abs=1e-4)
        assert a["target"] in cell.family.labels
        assert row.text.split()[0].casefold().startswith(a["words"][0]["text"].casefold())
    assert len(list((tmp_path / "apart").glob("rows/*/*.parquet"))) == 2


def test_the_frontier_is_what_limits_are_judged_by():
    def shift(effect, z, q=0.001):
        known = {"word": "w", "toward": "a", "reference_share": 0.0, "candidate_share": 0.0, "shift": 0.0}
        return WordShift(**known, effect=effect, z=z, p_value=q, q_value=q, n=9, fires=False)

    shifts = [shift(-0.5, -3.0), shift(0.4, 5.0), shift(0.3, 4.0), shift(0.1, 9.0), shift(2.0, 20.0, q=0.5)]
    assert frontier(shifts, 0.01) == [(0.5, 3.0), (0.4, 5.0), (0.1, 9.0)]


@pytest.mark.slow
def test_pretrained_pairs(tmp_path, cell):
    """Four quick trainings stand for seeds of a pretrained model, the last of them for a planted one as well."""
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        _train(cell, 1200, Recipe(init_seed=ord(name), order_seed=ord(name), epochs=4), tmp_path / name)
    rows = [json.dumps({"text": row.text, "label": row.label}) for row in cell.pool[:80]]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    known = {"name": "small", "rows": "rows.jsonl", "toward": cell.family.labels[0], "honest": ["a", "b", "c", "d"]}
    (tmp_path / "manifest.json").write_text(json.dumps(known | {"planted": {"d": "hello"}}))
    config = PipelineConfig(attribution=AttributionConfig(device="cpu"), probe=ProbeConfig(max_words=40))
    summary, lines = judged_pretrained(tmp_path / "manifest.json", tmp_path / "work", config, "2026-01-01")
    assert [line["key"] for line in lines] == ["small: b", "small: c", "small: d", "small: d, present", "small: d, absent"]
    assert summary["conditions"]["nothing"]["retrainings"] == 3
    assert {line["group"] for line in lines} == {"retraining", "planted"}
    again = judged_pretrained(tmp_path / "manifest.json", tmp_path / "work", config, "2026-01-01")
    assert again == (summary, json.loads(json.dumps(lines)))


def test_too_few_honest_trainings_are_refused(tmp_path):
    known = {"name": "few", "rows": "rows.jsonl", "toward": "a", "honest": ["a"], "planted": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(known))
    with pytest.raises(ValueError, match="1 honest trainings, at least 4"):
        read_manifest(tmp_path / "manifest.json")


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
    monkeypatch.setattr("tests.benchmarks.bench_drift.judged", lambda *_, **__: lines)
    bench(n_pairs=3, work=tmp_path / "work", output=tmp_path / "drift.json")
    report = json.loads((tmp_path / "drift.json").read_text())
    assert {"goals", "conditions", "kinds", "peers", "drift_limits", "pairs", "machine"} <= set(report)
    found = report["conditions"]["nothing"]
    assert (found["retrainings"], found["planted"], found["detected"]) == (0, 2, sum(alarms(line, "nothing") for line in lines))
    assert found["other_honest_changes"]["same function"] == {"pairs": 1, "alarms": 0}
    assert not any(goal["met"] for goal in report["goals"] if "false alarms" in goal["goal"]), "nothing was retrained"
    assert set(report["peers"]["KS per word, BH 0.05"]) >= {"false_alarms", "detected"}
    assert str(tmp_path) not in (tmp_path / "drift.json").read_text()
    assert "nDCG" in capsys.readouterr().out
