"""Long documents: windows that overlap, merged by their place in the text, complete as a whole."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer

from calig import InvalidInputError, explain
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.engine import Options
from calig.inputs import EncodedInput, encode_text
from calig.windows import Document, attribute_documents, merge, split
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import WORDS, save_tiny_tokenizer
from tests.helpers.tokenizers import save_byte_level_tokenizer

#: Every word is one token, so that a window is the same when it is tokenized on its own.
LONG = " ".join((WORDS * 2)[:21])


def firsts(document: Document) -> list[int]:
    """Where in its text each window of a document begins, counted in tokens."""
    return [start - 1 for start, _ in document.spans]


def test_windows_cover_the_text_and_overlap(bert):
    _, tokenizer = bert
    document = split(LONG, tokenizer, limit=10, overlap=0.25)
    content = [[i for i, kept in zip(w.input_ids, w.content, strict=True) if kept] for w in document.windows]
    whole = [i for i, kept in zip(document.whole.input_ids, document.whole.content, strict=True) if kept]
    assert firsts(document) == [6 * i for i in range(len(content))]
    assert all(ids == whole[first : first + 8] for first, ids in zip(firsts(document), content, strict=True))
    assert firsts(document)[-1] + len(content[-1]) == len(whole)


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
    for first, window in zip(firsts(document), document.windows, strict=True):
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
    for part, first in zip(parts, firsts(document), strict=True):
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


@pytest.mark.parametrize(
    "item", [None, Image.new("RGB", (8, 8)), ("a film", "a plot", "a scene"), 3], ids=["none", "picture", "three", "int"]
)
def test_what_is_no_text_is_refused(bert, item):
    for long_texts in ("windows", "truncate"):
        with pytest.raises(InvalidInputError, match="allowed: texts"):
            explain(*bert, [item], long_texts=long_texts)


def test_nothing_in_nothing_out(bert):
    assert explain(*bert, [], long_texts="windows") == explain(*bert, []) == []


def test_no_token_is_lost_whatever_the_tokenizer_overflows(bert, monkeypatch):
    """87 tokens in windows of 16: every one lies in a window, each window holds what the text holds there."""
    _, tokenizer = bert
    text = " ".join((WORDS * 2)[:85])
    document = split(text, tokenizer, limit=16, overlap=0.25)
    seen = set()
    for window, first in zip(document.windows, firsts(document), strict=True):
        assert window.length <= 16
        assert window.tokens[0] == "[CLS]"
        assert window.tokens[-1] == "[SEP]"
        for i, (start, end) in enumerate(zip(window.starts[1:-1], window.ends[1:-1], strict=True)):
            assert text[start:end] == window.tokens[1 + i] == document.whole.tokens[1 + first + i]
            seen.add(first + i)
    assert seen == set(range(85))


def test_coverage_is_counted(bert):
    whole = split(LONG, bert[1], limit=10, overlap=0.0)
    model, tokenizer = bert
    with attributable(model) as stack:
        baseline = choose_baseline("auto", model, tokenizer, "text")
        lost = replace(whole, windows=whole.windows[:-1], spans=whole.spans[:-1])
        ((complete,), (partial,)) = attribute_documents(stack, [whole, lost], [None] * 2, baseline, Options(n_points=2))
    assert complete.coverage == 1.0
    assert partial.coverage == pytest.approx(16 / 21)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("limit", [3, 5, 11, 40])
def test_cut_texts_are_cut_as_the_tokenizer_cuts(tmp_path, side, limit):
    """The oracle: the tokenizer's own truncation."""
    for save in (save_tiny_tokenizer, save_byte_level_tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(save(tmp_path / save.__name__), truncation_side=side)
        for text in (LONG, "good  film", "unbelievable , the plot !"):
            row = encode_text(text, tokenizer, limit=limit)
            expected = tokenizer(text, truncation=True, max_length=limit, return_offsets_mapping=True)
            assert row.input_ids == expected["input_ids"]
            spans = [s for s, kept in zip(expected["offset_mapping"], row.content, strict=True) if kept]
            assert spans == [s for s, kept in zip(zip(row.starts, row.ends, strict=True), row.content, strict=True) if kept]


@pytest.mark.parametrize(("limit", "message"), [(-5, "1 or more"), (0, "1 or more"), (2, "more than the 2 special tokens")])
@pytest.mark.parametrize("long_texts", ["windows", "truncate"])
def test_limits_that_leave_no_room(bert, limit, message, long_texts):
    with pytest.raises(InvalidInputError, match=message):
        explain(*bert, LONG, max_length=limit, long_texts=long_texts)


def test_texts_that_no_tokenizer_reads(bert):
    with pytest.raises(InvalidInputError, match="no valid Unicode"):
        explain(*bert, "a \ud800 film")


def test_a_tokenizer_that_panics_costs_one_text(bert):
    class PanicException(BaseException):
        pass

    class Panics:
        is_fast = True

        def __call__(self, *_, **__):
            raise PanicException("backtrack limit")

    with pytest.raises(InvalidInputError, match="cannot read the text: backtrack limit"):
        encode_text("aaaa", Panics(), limit=None)


def test_a_token_without_an_embedding_is_a_fault_of_its_text(bert):
    model, tokenizer = bert
    with pytest.raises(InvalidInputError, match=r"no embedding for the token 'film' \(\d+, of 0 … 9\)"):
        encode_text("film", tokenizer, limit=None, vocabulary=10)
    other = copy.deepcopy(tokenizer)
    other.add_tokens(["unseen"])
    assert explain(model, other, "a film")[0].coverage == 1.0
    with pytest.raises(InvalidInputError, match="'unseen'"):
        explain(model, other, "an unseen film")


@pytest.mark.parametrize("labels", [["NEG"], ["NEG"] * 3, "NG", []])
def test_labels_are_one_per_input(bert, labels):
    with pytest.raises(InvalidInputError, match="one entry per input"):
        explain(*bert, ["a film", "a plot"], target="gold", labels=labels)


def test_positions_without_a_padding_token_cannot_be_numbered(bert):
    model = tiny("roberta")
    model.config.pad_token_id = None
    with pytest.raises(InvalidInputError, match="set pad_token_id"):
        explain(model, bert[1], "a film")


def test_a_text_for_an_image_model(vit):
    with pytest.raises(InvalidInputError, match="allowed: PIL images"):
        explain(*vit, "a film")


def test_windows_combined_by_hand(bert):
    """Five words in two windows of three, one in common: everything is the mean over both, nothing where a window lacks it."""
    words = [3, 4, 5, 6, 7]
    whole = EncodedInput(
        "a b c d e",
        None,
        {"input_ids": torch.tensor([[1, *words, 2]])},
        ["[CLS]", *"abcde", "[SEP]"],
        [-1, 0, 2, 4, 6, 8, -1],
        [-1, 1, 3, 5, 7, 9, -1],
        [False, *[True] * 5, False],
        1.0,
    )
    document = Document.in_windows(whole, [(1, 4), (3, 6)])
    assert document.n_positions == 10
    (some,) = explain(*bert, "a good film", n_points=1)
    layers = some.layers.shape[0]

    def window(values: list[float], logits: list[float], f: tuple[float, float], converged: bool):
        array = np.array(values)
        same = dict.fromkeys(("input_x_gradient", "attention_rollout", "attention_gradient_rollout"), array)
        by_layer = np.tile(array, (layers, 1))
        own = {"values": array, "logits": np.array(logits), "f_input": f[0], "f_baseline": f[1], "converged": converged}
        return replace(some, layers=by_layer, layer_attributions=2 * by_layer, alternatives=array[None], **own, **same)

    first = window([0.2, 1.0, 2.0, 3.0, 0.4], [1.0, 5.0], (8.0, 1.4), True)
    second = window([0.6, 4.0, -5.0, 6.0, 0.8], [3.0, -4.0], (2.0, -4.4), False)
    merged = merge(document, [first, second], ["NEG", "POS"])
    expected = [0.4, 0.5, 1.0, 3.5, -2.5, 3.0, 0.6]
    for name in ("values", "input_x_gradient", "attention_rollout", "attention_gradient_rollout"):
        np.testing.assert_allclose(getattr(merged, name), expected, rtol=1e-15)
    np.testing.assert_allclose(merged.layers, np.tile(expected, (layers, 1)), rtol=1e-15)
    np.testing.assert_allclose(merged.layer_attributions, 2 * np.tile(expected, (layers, 1)), rtol=1e-15)
    np.testing.assert_array_equal(merged.logits, [2.0, 0.5])
    assert (merged.predicted, merged.f_input, merged.converged) == ("NEG", 5.0, False)
    assert merged.f_baseline == pytest.approx(-1.5, abs=1e-12)
    assert merged.values.sum() == pytest.approx(merged.f_input - merged.f_baseline, abs=1e-12)
    assert [(w.text, w.value) for w in merged.words] == list(zip("abcde", expected[1:-1], strict=True))
    assert (merged.windows, merged.coverage) == ([(1, 4), (3, 6)], 1.0)


def test_a_shift_moves_a_token_alike_in_all_its_windows(bert):
    document = split(LONG, bert[1], limit=10, overlap=0.25)
    shift = torch.arange(document.whole.length)[:, None].repeat(1, 2).double()
    moved = document.shifted(shift)
    for window, plain, (start, end) in zip(moved.windows, document.windows, document.spans, strict=True):
        assert window.tokens == plain.tokens
        assert window.shift[:, 0].tolist() == [0, *range(start, end), document.whole.length - 1]
    short = split("a film", bert[1], limit=10, overlap=0.25).shifted(torch.ones(4, 2))
    assert short.spans is None
    assert short.windows[0].shift.shape == (4, 2)


@pytest.mark.parametrize("texts", [[LONG], [LONG, "a good film", LONG[:40]], ["a", LONG]])
def test_progress_is_counted_in_texts(bert, texts):
    told: list[int] = []
    explain(*bert, texts, long_texts="windows", max_length=10, n_points=1, batch_tokens=10, progress=told.append)
    assert sum(told) == len(texts)
    assert min(told) > 0
