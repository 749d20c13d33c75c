"""Tokens become words by character offset, in any script."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from calig import explain
from calig.inputs import encode_text
from calig.words import merge_words, word_owners, word_spans
from tests.helpers.tiny_families import tiny
from tests.helpers.tokenizers import save_byte_level_tokenizer


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


def test_tokens_of_blanks_belong_to_the_word_they_come_before(tmp_path):
    """As `Ġ` alone before a word; at the end of a text, to the last word. Every content token is in a word."""
    tokenizer = AutoTokenizer.from_pretrained(save_byte_level_tokenizer(tmp_path))
    text = "  good   film  "
    row = encode_text(text, tokenizer, limit=None)
    assert sum(text[a:b].isspace() for a, b in zip(row.starts, row.ends, strict=True) if a >= 0) >= 3
    values = np.array([float(kept) for kept in row.content])
    words = merge_words(text, values, row.starts, row.ends)
    assert [text[w.start : w.end] for w in words] == [w.text for w in words] == ["good", "film"]
    assert sum(w.value for w in words) == sum(row.content)
    owner = word_owners([w.start for w in words], [w.end for w in words], row.starts, row.ends)
    assert [o >= 0 for o in owner] == row.content


def test_layers_by_word_add_up_as_the_words_do(tmp_path):
    model = tiny("gpt2")
    tokenizer = AutoTokenizer.from_pretrained(save_byte_level_tokenizer(tmp_path))
    result = explain(model, tokenizer, "good   film  ", n_points=8)[0]
    content = np.array(result.content)
    np.testing.assert_allclose(result.layers_by_word().sum(1), result.layers[:, content].sum(1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.layers_by_word().mean(0), [w.value for w in result.words], rtol=1e-9, atol=1e-12)


def test_time_grows_as_the_text_does():
    """Quadratic, 100,000 words took several seconds."""
    n = 100_000
    text = "ab " * n
    starts = np.arange(n) * 3
    started = time.process_time()
    words = merge_words(text, np.ones(n), starts.tolist(), (starts + 2).tolist())
    assert len(words) == n
    assert time.process_time() - started < 10
