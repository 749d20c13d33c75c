"""Each transformation on texts written by hand, and on those that it does not apply to."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import pytest

from calig.words import word_spans
from components.common.errors import InputError
from components.probe import read_transformation_words, transformations
from schemas.config import TransformationName

BY = transformations(get_args(TransformationName), read_transformation_words(None))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("case", "A good film.", "A GOOD FILM."),
        ("case", "straße", "STRASSE"),
        ("case", "A GOOD FILM", None),
        ("case", "一部好电影。", None),
        ("punctuation", "Good, really: it's well-made!", "Good really it's well made"),
        ("punctuation", "一部好电影。", "一部好电影"),
        ("punctuation", "a good film", None),
        ("punctuation", "?!", None),
        ("negation", "It is not good, never dull.", "It is good, dull."),
        ("negation", "I DON'T and don’t think so", "I DO and do think so"),
        ("negation", "Nothing works, nobody knows", "Something works, somebody knows"),
        ("negation", "a notable knot", None),
        ("negation", "no", None),
        ("truncation", "one two three four five", "one two three"),
        ("truncation", "one two three", None),
        ("order", "word", None),
        ("order", "so so so", None),
        ("order", "good film", "film good"),
        ("entities", "a good film", None),
    ],
)
def test_transformed_by_hand(name, text, expected):
    assert BY[name](text) == expected


def test_shuffled_words_are_the_same_words_and_the_punctuation_stays():
    text = "one, two three; four five."
    new = BY["order"](text)
    assert new != text
    assert Counter(new[a:b] for a, b in word_spans(new)) == Counter(text[a:b] for a, b in word_spans(text))
    assert [c for c in new if c in ",;."] == [",", ";", "."]
    assert new == BY["order"](text)


def test_entities_are_swapped_within_their_group_alike_and_as_they_are_written():
    words = read_transformation_words(None)
    new = BY["entities"]("Mary met John, and mary left JOHN in London.")
    first, _, man, _, same, _, again, _, city = (new[a:b] for a, b in word_spans(new) if new[a:b] not in ",.")
    assert first in set(words.entities["women"]) - {"Mary"}
    assert man in set(words.entities["men"]) - {"John"}
    assert (same, again) == (first.lower(), man.upper())
    assert city in set(words.entities["cities"]) - {"London"}


def test_different_names_stay_different():
    new = BY["entities"]("Mary, Anna and Emma")
    assert len({new[a:b] for a, b in word_spans(new)} - {",", "and"}) == 3


def test_an_operator_s_words_in_a_script_without_blanks(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("negations: {不: ''}\nentities: {城市: [北京, 上海]}\n", encoding="utf-8")
    by = transformations(("negation", "entities"), read_transformation_words(path))
    assert by["negation"]("我不在北京") == "我在北京"
    assert by["entities"]("我不在北京") == "我不在上海"


def test_without_words_nothing_is_replaced(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("")
    by = transformations(("negation", "entities"), read_transformation_words(path))
    assert by["negation"]("not") is None
    assert by["entities"]("Mary") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("names: [Mary]", "names"),
        ("entities: {women: [Mary]}", "two different names"),
        ("entities: {women: []}", "two different names"),
        ("entities: {women: [Mary, Anna], queens: [Anna, Elizabeth]}", "two groups"),
        ("entities: {women: [Mary, ' ']}", "a word is empty"),
        ("negations: [not]", "negations"),
        ("[", "not valid YAML"),
    ],
)
def test_an_unfit_file_is_refused_and_why(tmp_path, content, problem):
    path = tmp_path / "words.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=problem):
        read_transformation_words(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="transformation_words"):
        read_transformation_words(tmp_path / "none.yaml")
