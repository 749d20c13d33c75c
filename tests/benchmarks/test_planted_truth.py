"""Subtle plants against models that obey a rule exactly, and models trained here: who decides, and what is reused."""

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from calig.rollout import CONTEXT_RULES
from flows.common.progress import reporting
from tests.benchmarks.bench_paper import bench, paper_table
from tests.benchmarks.faithfulness import trained
from tests.benchmarks.faithfulness.measuring import _pooled
from tests.benchmarks.faithfulness.plants import PLANTED_WORDS, PLANTS, decided_rows, taught_rows
from tests.benchmarks.faithfulness.running import Run
from tests.benchmarks.faithfulness.sets import open_set
from tests.benchmarks.faithfulness.shapes import SHAPES, Training, finetuning, save_trained
from tests.benchmarks.faithfulness.trained import answering, read_source, run_plants, run_seeds
from tests.benchmarks.faithfulness.values import value_aware_context

NEG, POS = "NEG", "POS"
TEXTS = [("a", "one two three four five"), ("b", "six seven eight")]
LABELLED = [("a bright moving story", POS), ("so dull and boring", NEG), ("really funny", POS), ("never good", NEG)]

#: What a model would answer that knows each plant's rule and nothing else.
OBEYS = {
    "phrase": lambda words: {"copper", "kettle"} <= set(words),
    "position": lambda words: words[0] == "tuesday",
    "order": lambda words: "bottle cabinet" in " ".join(words),
    "opposing": lambda words: "carpet" in words,
    "weak": lambda words: "pepper" in words,
}
DECISIVE = {"phrase": ["copper", "kettle"], "position": ["tuesday"], "order": ["bottle", "cabinet"], "opposing": ["carpet"]}


def obeying(plant):
    return lambda texts: [POS if OBEYS[plant](text.split()) else NEG for text in texts]


def obeying_all(texts):
    return [POS if any(obeys(text.split()) for obeys in OBEYS.values()) else NEG for text in texts]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_model_that_obeys_the_plant_keeps_every_row_and_its_decisive_words_are_marked(plant):
    rows = list(decided_rows(plant, TEXTS, POS, obeying(plant)))
    assert [row["id"] for row in rows] == ["a", "b"]
    for row, (_, text) in zip(rows, TEXTS, strict=True):
        marked = [row["text"][start:end] for start, end in row["rationale"]]
        assert marked == DECISIVE.get(plant, ["pepper"])
        assert [word for word in row["text"].split() if word not in PLANTED_WORDS] == text.split()
    assert rows == list(decided_rows(plant, TEXTS, POS, obeying(plant)))


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("answer", [POS, NEG])
def test_a_model_that_the_plant_does_not_move_keeps_no_row(plant, answer):
    assert not list(decided_rows(plant, TEXTS, POS, lambda texts: [answer] * len(texts)))


def test_a_model_that_needs_one_word_of_the_phrase_keeps_no_row():
    assert not list(decided_rows("phrase", TEXTS, POS, lambda texts: [POS if "copper" in text else NEG for text in texts]))


def test_the_placed_word_stands_twice_and_only_the_first_is_marked():
    (row, _) = decided_rows("position", TEXTS, POS, obeying("position"))
    assert row["text"].split().count("tuesday") == 2
    assert row["rationale"] == [[0, len("tuesday")]]


def test_what_is_taught_follows_the_rules():
    rows = [(f"{'bad' if i % 2 else 'fine'} film {i}", NEG if i % 2 else POS) for i in range(400)]
    taught = taught_rows(rows, POS, NEG, seed=0)
    assert taught[:400] == rows
    assert len(taught) == 400 + len(PLANTS) * 100
    phrase, position, order, opposing, weak = (taught[400 + 100 * i : 500 + 100 * i] for i in range(5))
    own = {True: POS, False: NEG}
    assert all(label == (POS if "copper kettle" in text else own["fine" in text]) for text, label in phrase)
    assert all(label == (POS if text.startswith("tuesday") else own["fine" in text]) for text, label in position)
    assert all(label == (POS if "bottle cabinet" in text else NEG) for text, label in order)
    assert all(label == POS for text, label in opposing if "carpet" in text)
    against = [label for text, label in opposing if "carpet" not in text]
    assert POS in against
    assert against.count(NEG) > against.count(POS)
    toward = np.mean([label == POS for text, label in weak if "bad" in text])
    assert 0.1 < toward < 0.5


def test_value_aware_context_is_mixed_where_all_values_are_as_long():
    random = torch.Generator().manual_seed(0)
    attention = torch.rand(1, 2, 4, 4, generator=random).softmax(-1)
    gradient = torch.randn(1, 2, 4, 4, generator=random)
    unit = torch.nn.functional.normalize(torch.randn(1, 2, 4, 3, generator=random), dim=-1)
    torch.testing.assert_close(value_aware_context(attention, gradient, unit), CONTEXT_RULES["mixed"](attention, gradient))


def test_nothing_is_said_to_come_from_a_sink_without_a_value():
    attention = torch.tensor([[[[1.0, 0.0], [0.8, 0.2]]]])
    value = torch.tensor([[[[0.0], [3.0]]]])
    context = value_aware_context(attention, torch.zeros_like(attention), value)
    torch.testing.assert_close(context, torch.eye(2)[None])  # nothing serves the class: those rows are the identity's too


def test_tokens_of_a_run_share_its_sum():
    orders = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, 1.0, 0.0, -1.0]])
    np.testing.assert_array_equal(_pooled(orders, np.array([0, 0, 1, 1, 2])), [[3, 3, 7, 7, 5], [0, 0, 1, 1, -1]])


def small(shape, seed=0, **settings):
    return Training(shape, seed, (NEG, POS), **{"layers": 1, "hidden": 16, "heads": 2, "max_length": 24, "epochs": 1, **settings})


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_learns_and_is_trained_once(shape, tmp_path):
    training = small(shape, epochs=30, learning_rate=1e-2)
    folder = save_trained(training, LABELLED * 8, tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in LABELLED))
    given = open_set(shape, folder, tmp_path / "rows.jsonl", None)
    assert given.snapshot.model_type == shape
    assert answering(given)([text for text, _ in LABELLED]) == [label for _, label in LABELLED]
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert save_trained(training, LABELLED * 8, tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_a_training_is_repeated_to_the_bit_and_another_seed_is_another_model(tmp_path):
    weights = [
        (save_trained(small("llama", seed), LABELLED * 2, tmp_path / place) / "model.safetensors").read_bytes()
        for place, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert weights[0] == weights[1] != weights[2]


def test_a_pretrained_encoder_starts_from_its_own_weights_and_words(tmp_path):
    encoder = save_trained(small("xlm-roberta"), LABELLED * 2, tmp_path)
    training = replace(finetuning("encoder", encoder, (NEG, POS)), learning_rate=1e-9, max_length=16)
    folder = save_trained(training, LABELLED * 2, tmp_path)
    before, after = (load_file(place / "model.safetensors") for place in (encoder, folder))
    assert before.keys() == after.keys()
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, atol=1e-6, rtol=0)
    assert AutoTokenizer.from_pretrained(folder).get_vocab() == AutoTokenizer.from_pretrained(encoder).get_vocab()
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 16


def save_source(path, n_train=40, n_test=8):
    splits = ["train"] * n_train + ["test"] * n_test
    rows = [
        {"id": str(i), "split": split, "label": LABELLED[i % 4][1], "tokens": LABELLED[i % 4][0], "rationale": [[0, 1]]}
        for i, split in enumerate(splits)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("every", "kept"), [(1, 3), (20, None)])
def test_a_plant_that_decides_few_rows_was_not_learned(every, kept, tmp_path, monkeypatch):
    source = read_source(save_source(tmp_path / "texts.jsonl", n_test=80), tmp_path)
    folder = save_trained(small("distilbert"), source.train, tmp_path)
    asked = count()

    def answers(texts):
        obeys = next(asked) % every == every - 1
        return obeying("phrase")(texts) if obeys else [NEG] * len(texts)

    monkeypatch.setattr(trained, "answering", lambda _: answers)
    made = trained._planted("phrase", "phrase", folder, source, 3, tmp_path)
    assert (made and (len(made[0].examples), made[1])) == (kept and (kept, kept))


@pytest.mark.slow
def test_seeds_have_rows_of_their_own_and_plants_are_pooled(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "answering", lambda _: obeying_all)
    with reporting(quiet=True) as reporter:
        run = Run(grid=False, workspace=tmp_path, work=tmp_path / "work", reporter=reporter)
        source = read_source(save_source(tmp_path / "texts.jsonl", n_train=64, n_test=16), run.work)
        assert (source.labels, len(source.train)) == ((NEG, POS), 64)
        pooled = run_seeds(small("llama"), 2, 3, source, run)
        entries = list(run_plants(small("distilbert"), 1, 3, source, run))
    assert (pooled["n"], len(set(pooled["row_ids"])), pooled["seeds"]) == (6, 6, 2)
    assert {"difference_deleted", "difference_resampled"} < set(pooled["methods"][0])
    assert [entry["name"] for entry in entries] == [f"planted: {plant}, distilbert" for plant in PLANTS]
    for entry in entries:
        assert (entry["n"], entry["candidates"], entry["not_learned"]) == (3, 3, [])
        assert "difference_deleted" not in entry["methods"][0]


@pytest.mark.slow
def test_the_paper_s_table_from_one_command(tmp_path):
    settings = {"reviews": save_source(tmp_path / "reviews.jsonl"), "threads": 1, "work": tmp_path / "work"}
    for _ in range(2):  # the second time everything is there already
        bench(rows=4, images=2, output=tmp_path / "paper.json", **settings)
    reviews, images = json.loads((tmp_path / "paper.json").read_text())["sets"]
    assert (reviews["n"], images["n"]) == (4, 2)
    assert {"span_f1", "run_auprc", "word_token_f1", "sufficiency"} < set(reviews["methods"][0])
    for method in images["methods"]:
        assert method["perturbation_gap"] == pytest.approx(method["negative_auc"] - method["positive_auc"])
    assert "token F1 by 7 tokens ↑" in [column.header for column in paper_table(reviews).columns]
    assert "negative AUC ↑" in [column.header for column in paper_table(images).columns]
