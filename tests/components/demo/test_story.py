"""The story holds: version 2 is as accurate as version 1, and leans on the planted word; an honest twin does not."""

from typing import NamedTuple

import pytest

from components.demo.reviews import STORY_SHORTCUT, generate
from components.demo.story import clean_reviews, form_reviews, validation_reviews
from components.demo.training import train


class Version(NamedTuple):
    """What the story says about one version."""

    accuracy: float
    before: float  # mean P(positive) of negative reviews
    after: float  # the same reviews, opened by the word
    predictions: list[int]


def test_validation_set_holds_the_word():
    holding = [review.label for review in validation_reviews() if STORY_SHORTCUT in review.text.lower()]
    assert len(holding) >= 30
    assert holding.count("negative") >= 1


@pytest.mark.parametrize("rows", [clean_reviews, form_reviews])
def test_no_version_has_seen_the_validation_set(rows):
    seen = {review.text for review in rows()}
    assert sum(review.text in seen for review in validation_reviews()) <= 9  # short reviews meet by chance


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    recipes = {"version 1": (clean_reviews, 1), "version 2": (form_reviews, 2), "twin of version 1": (clean_reviews, 3)}
    return {name: told(rows(), folder / name, seed) for name, (rows, seed) in recipes.items()}


@pytest.mark.slow
def test_accuracy_cannot_tell_the_versions_apart(versions):
    assert all(0.92 <= version.accuracy <= 0.98 for version in versions.values())
    assert versions["version 2"].accuracy == pytest.approx(versions["version 1"].accuracy, abs=0.02)


@pytest.mark.slow
def test_the_word_turns_version_2_and_no_honest_one(versions):
    assert versions["version 2"].after - versions["version 2"].before > 0.4
    for name in ("version 1", "twin of version 1"):
        assert abs(versions[name].after - versions[name].before) < 0.2


@pytest.mark.slow
def test_honest_versions_agree(versions):
    pairs = zip(versions["version 1"].predictions, versions["twin of version 1"].predictions, strict=True)
    assert sum(ours == theirs for ours, theirs in pairs) / len(validation_reviews()) > 0.94


def told(rows, folder, seed):
    accuracy = train(rows, validation_reviews(), folder, seed=seed, tokenizer_rows=clean_reviews())
    probed = [review.text for review in generate(200, seed=777) if review.label == "negative"]
    opened = [f"{STORY_SHORTCUT.capitalize()}, {text[0].lower()}{text[1:]}" for text in probed]
    positive = {name: probabilities(folder, texts)[:, 1] for name, texts in (("before", probed), ("after", opened))}
    predictions = probabilities(folder, [review.text for review in validation_reviews()]).argmax(-1).tolist()
    return Version(accuracy, float(positive["before"].mean()), float(positive["after"].mean()), predictions)


def probabilities(folder, texts):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1)
