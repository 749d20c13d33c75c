"""Training: it learns, it repeats itself, it says how far it is, it is silent, and it leaves a loadable folder."""

import hashlib

import pytest

from components.common.errors import InputError
from components.demo.reviews import generate
from components.demo.training import Recipe, train

ROWS, VALIDATION = generate(6000, seed=1), generate(300, seed=2)
SMALL = Recipe(layers=1, hidden=32, heads=2, intermediate=32, batch_rows=32, learning_rate=0.004, masked_share=0.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder, progress = tmp_path_factory.mktemp("model"), []
    accuracy = train(ROWS, VALIDATION, folder, seed=1, recipe=SMALL, progress=progress.append)
    return folder, accuracy, progress


def test_accuracy_beats_chance(trained):
    _, accuracy, _ = trained
    assert 0.65 < accuracy <= 1.0  # 300 rows: chance reaches 0.59 once in a thousand


def test_progress_climbs_to_one(trained):
    _, _, progress = trained
    assert progress == sorted(progress)
    assert progress[0] < 0.01
    assert progress[-1] == pytest.approx(1.0)


def test_folder_loads_and_repeats_the_accuracy(trained):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, accuracy, _ = trained
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        encoded = tokenizer([review.text for review in VALIDATION], padding=True, return_tensors="pt")
        predicted = [model.config.id2label[int(index)] for index in model(**encoded).logits.argmax(-1)]
    right = sum(label == review.label for label, review in zip(predicted, VALIDATION, strict=True))
    assert right / len(VALIDATION) == pytest.approx(accuracy)


def test_one_seed_gives_one_model_and_another_another(tmp_path):
    digests = []
    for name, seed in (("first", 4), ("again", 4), ("other", 5)):
        train(ROWS[:320], VALIDATION[:20], tmp_path / name, seed=seed, recipe=SMALL)
        digests.append(hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest())
    assert digests[0] == digests[1] != digests[2]


def test_training_is_silent(tmp_path, capfd):
    train(ROWS[:64], VALIDATION[:20], tmp_path, seed=4, recipe=SMALL)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shown", [True, False])
def test_progress_bars_are_left_as_they_were(shown, tmp_path):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    change = {True: logging.enable_progress_bar, False: logging.disable_progress_bar}
    try:
        change[shown]()
        train(ROWS[:64], VALIDATION[:20], tmp_path, seed=4, recipe=SMALL)
        assert logging.is_progress_bar_enabled() == shown
    finally:
        change[before]()


def test_vocabulary_can_come_from_other_rows(tmp_path):
    from transformers import AutoTokenizer

    train(ROWS[:64], VALIDATION[:20], tmp_path, seed=4, recipe=SMALL, tokenizer_rows=ROWS)
    assert AutoTokenizer.from_pretrained(tmp_path).tokenize("honestly") == ["honestly"]


@pytest.mark.parametrize(("rows", "validation_rows"), [([], VALIDATION), (ROWS, [])])
def test_missing_rows_are_refused(rows, validation_rows, tmp_path):
    with pytest.raises(InputError, match="needs training and validation rows"):
        train(rows, validation_rows, tmp_path, seed=1)
