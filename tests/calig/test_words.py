"""Tokens become words by character offset, in any script."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calig.words import merge_words, word_spans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It isn't 3.5 stars!", ["It", "isn't", "3.5", "stars", "!"]),
        ("በጣም ጥሩ ፊልም ነው።", ["በጣም", "ጥሩ", "ፊልም", "ነው", "።"]),
        ("我喜欢。", ["我", "喜", "欢", "。"]),
        ("أحب هذا الفيلم", ["أحب", "هذا", "الفيلم"]),
        ("so 😀 👨‍👩‍👧", ["so", "😀", "👨‍👩‍👧"]),
        ("", []),
        ("  \n", []),
    ],
)
def test_words_of_many_scripts(text, words):
    assert [text[a:b] for a, b in word_spans(text)] == words


def test_subwords_are_summed_and_special_tokens_left_out():
    words = merge_words("unbelievable film", np.array([9.0, 1.0, 2.0, -0.5, 9.0]), [-1, 0, 2, 13, -1], [-1, 2, 12, 17, -1])
    assert [(w.text, w.value) for w in words] == [("unbelievable", 3.0), ("film", -0.5)]


def test_a_token_over_two_words_joins_them():
    words = merge_words("to do it", np.array([1.0, 2.0]), [0, 6], [5, 8])
    assert [(w.text, w.start, w.end, w.value) for w in words] == [("to do", 0, 5, 1.0), ("it", 6, 8, 2.0)]


def test_a_token_that_begins_with_the_blank_belongs_to_its_word():
    words = merge_words("a film", np.array([1.0, 2.0]), [0, 1], [1, 6])
    assert [(w.text, w.value) for w in words] == [("a", 1.0), ("film", 2.0)]


def test_words_cut_off_by_truncation_are_absent():
    assert [w.text for w in merge_words("a film", np.array([1.0]), [0], [1])] == ["a"]


@given(st.text(min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_nothing_is_lost_whatever_the_tokenizer(text, random):
    cuts = sorted({0, len(text), *random.sample(range(len(text)), k=min(len(text), 5))})
    spans = [(a, b) for a, b in itertools.pairwise(cuts) if text[a:b].strip()]
    values = np.arange(1.0, len(spans) + 1)
    words = merge_words(text, values, [a for a, _ in spans], [b for _, b in spans])
    assert sum(w.value for w in words) == pytest.approx(values.sum())
    assert all(text[w.start : w.end] == w.text for w in words)
    assert all(a.end <= b.start for a, b in itertools.pairwise(words))
