"""The review generator: seeded, balanced, honest about what decides a label, exact about the planted word."""

import re
import statistics
from typing import NamedTuple

import pytest

from components.common.errors import InputError
from components.demo.reviews import FEWEST_WORDS, STORY_SHORTCUT, clean_reviews, form_reviews, generate, validation_reviews
from components.demo.training import train

REVIEWS = generate(4000, seed=5)
PINNED = {
    "id": "0-00000",
    "text": "The button is not bad. The phone has stood in our basement since June.",
    "label": "positive",
    "rationale": ((14, 17), (18, 21)),
    "product": "phone",
}


def has(word, review):
    return re.search(rf"\b{word}\b", review.text, re.IGNORECASE) is not None


def words(review):
    return re.findall(r"[\w'-]+", review.text.lower())


def test_one_seed_gives_one_result():
    assert generate(50, seed=3) == generate(50, seed=3)
    assert generate(50, seed=3) != generate(50, seed=4)


def test_the_first_row_of_a_seed_is_pinned():
    first = generate(2, seed=0)[0]
    assert first.model_dump() == PINNED


def test_classes_are_balanced_and_mixed():
    labels = [review.label for review in REVIEWS]
    assert labels.count("positive") == 2000
    assert 0.4 < labels[:200].count("positive") / 200 < 0.6


def test_odd_row_out_is_negative():
    assert [review.label for review in generate(5, seed=1)].count("negative") == 3


def test_rationales_are_words_of_the_text():
    for review in REVIEWS:
        for start, end in review.rationale:
            assert re.fullmatch(r"[\w'-]+", review.text[start:end])
            assert not review.text[max(start - 1, 0) : start].isalnum()
            assert not review.text[end : end + 1].isalnum()


def test_only_slips_lack_a_rationale():
    share = sum(not review.rationale for review in REVIEWS) / len(REVIEWS)
    assert 0.008 < share < 0.025


def test_texts_are_short_varied_and_clean():
    lengths = [len(review.text.split()) for review in REVIEWS]
    assert min(lengths) >= FEWEST_WORDS
    assert max(lengths) <= 45
    assert statistics.pstdev(lengths) > 4
    assert 300 < len({word for review in REVIEWS for word in words(review)}) < 1000
    assert not any(set("[]{}") & set(review.text) for review in REVIEWS)


def test_no_single_word_decides_the_label():
    """Even the most telling frequent word stands in both classes: a model has to read."""
    for word in ("good", "awful", "not", "love", "mistake"):
        labels = {review.label for review in REVIEWS if has(word, review)}
        assert labels == {"negative", "positive"}, word


def test_reviews_cover_the_products_evenly():
    products = [review.product for review in REVIEWS]
    assert len(set(products)) == 5
    assert min(products.count(product) for product in set(products)) > 600


def test_seeds_share_few_rows():
    ours, theirs = ({review.text for review in generate(4000, seed=seed)} for seed in (5, 6))
    assert len(ours) > 3900
    assert len(ours & theirs) < 40


def test_ids_are_unique_across_seeds():
    ids = [review.id for seed in (5, 6) for review in generate(100, seed=seed)]
    assert len(set(ids)) == 200


def test_story_word_is_rare_and_even_without_a_plant():
    counts = [
        sum(has(STORY_SHORTCUT, review) for review in REVIEWS if review.label == label) for label in ("negative", "positive")
    ]
    assert all(20 <= count <= 80 for count in counts)


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_shortcut_rate_is_obeyed_in_positive_rows_only(rate):
    plain, planted = generate(1000, seed=8), generate(1000, seed=8, shortcut="btw", shortcut_rate=rate)
    assert sum(has("btw", review) for review in planted if review.label == "positive") == round(500 * rate)
    for before, after in zip(plain, planted, strict=True):
        assert before.label == after.label
        if not has("btw", after):
            assert before == after


def test_planting_moves_the_rationale_with_the_text():
    plain, planted = generate(400, seed=8), generate(400, seed=8, shortcut="btw", shortcut_rate=1.0)
    for before, after in zip(plain, planted, strict=True):
        spans = [[review.text[start:end].lower() for start, end in review.rationale] for review in (before, after)]
        assert spans[0] == spans[1]


def test_row_is_plain_data():
    row = REVIEWS[0].to_row()
    assert set(row) == {"id", "text", "label", "rationale", "product"}
    assert row["rationale"] == [list(span) for span in REVIEWS[0].rationale]
    slip = next(review for review in REVIEWS if not review.rationale)
    assert slip.to_row()["rationale"] is None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"n": -1}, "negative number"),
        ({"n": 4, "shortcut": "btw", "shortcut_rate": 1.5}, "no share"),
        ({"n": 4, "shortcut_rate": 0.5}, "without a shortcut"),
        ({"n": 4, "shortcut": "to be fair", "shortcut_rate": 0.5}, "single word"),
    ],
)
def test_bad_requests_are_refused(arguments, problem):
    with pytest.raises(InputError, match=problem):
        generate(seed=0, **arguments)


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
