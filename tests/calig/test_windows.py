"""Long documents: windows that overlap, merged by their place in the text, complete as a whole."""

import numpy as np
import pytest

from calig import InvalidInputError, explain
from calig.windows import split
from tests.helpers.tiny_models import WORDS

#: Every word is one token, so that a window is the same when it is tokenized on its own.
LONG = " ".join((WORDS * 2)[:21])


def test_windows_cover_the_text_and_overlap(bert):
    _, tokenizer = bert
    document = split(LONG, tokenizer, limit=10, overlap=0.25)
    content = [[i for i, kept in zip(w.input_ids, w.content, strict=True) if kept] for w in document.windows]
    whole = [i for i, kept in zip(document.whole.input_ids, document.whole.content, strict=True) if kept]
    assert document.first == [6 * i for i in range(len(content))]
    assert all(ids == whole[first : first + 8] for first, ids in zip(document.first, content, strict=True))
    assert document.first[-1] + len(content[-1]) == len(whole)


def test_the_side_that_a_tokenizer_truncates_moves_no_window(bert):
    """huggingface/transformers#15440: with `truncation_side="left"` overflowing windows come from the end of the text."""
    model, tokenizer = bert
    expected = explain(model, tokenizer, LONG, long_texts="windows", max_length=10)[0]
    tokenizer.truncation_side = "left"
    try:
        document = split(LONG, tokenizer, limit=10, overlap=0.25)
        result = explain(model, tokenizer, LONG, long_texts="windows", max_length=10)[0]
    finally:
        tokenizer.truncation_side = "right"
    for first, window in zip(document.first, document.windows, strict=True):
        n = sum(window.content)
        assert window.tokens[1:-1] == document.whole.tokens[1 + first : 1 + first + n]
    np.testing.assert_allclose(result.values, expected.values)


def test_a_document_is_the_mean_of_its_windows(bert):
    model, tokenizer = bert
    options = {"max_length": 10, "target": "POS", "n_points": 12}
    (result,) = explain(model, tokenizer, LONG, long_texts="windows", **options)
    document = split(LONG, tokenizer, limit=10, overlap=0.25)
    parts = [explain(model, tokenizer, LONG[w.starts[1] : w.ends[-2]], **options)[0] for w in document.windows]
    expected = np.zeros(document.whole.length)
    for part, first in zip(parts, document.first, strict=True):
        n = len(part.tokens) - 2
        expected[1 + first : 1 + first + n] += part.values[1:-1] / len(parts)
        expected[[0, -1]] += part.values[[0, -1]] / len(parts)
    np.testing.assert_allclose(result.values, expected, rtol=1e-9, atol=1e-12)
    assert result.f_input == pytest.approx(np.mean([p.f_input for p in parts]))
    assert result.layers.shape == (3, document.whole.length)
    np.testing.assert_allclose(result.layers.sum(-1), result.f_input - result.f_baseline, rtol=1e-2)
    assert result.attention_rollout.sum() == pytest.approx(1.0)


def test_the_whole_document_has_one_target(bert):
    model, tokenizer = bert
    (result,) = explain(model, tokenizer, LONG, long_texts="windows", max_length=10)
    assert result.target == result.predicted == model.config.id2label[int(result.logits.argmax())]
    assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, abs=1e-9)
    assert result.coverage == 1.0
    assert result.tokens == tokenizer.convert_ids_to_tokens(tokenizer(LONG)["input_ids"])
    assert [w.text for w in result.words] == LONG.split()


def test_a_text_that_fits_is_explained_as_ever(bert):
    model, tokenizer = bert
    (once,), (again,) = (explain(model, tokenizer, "a great film !", long_texts=kind) for kind in ("windows", "truncate"))
    np.testing.assert_array_equal(once.values, again.values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"long_texts": "cut"}, "allowed: truncate, windows"),
        ({"window_overlap": 0.95}, "allowed: 0 … 0.9"),
        ({"n_points": 0}, "1 or more"),
    ],
)
def test_bad_options_say_what_is_allowed(bert, options, message):
    with pytest.raises(InvalidInputError, match=message):
        explain(*bert, LONG, **options)
