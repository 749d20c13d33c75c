"""Pairs of texts: Captum's numbers at every layer, completeness, sides, and tokenizers' own truncation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import transformers as tf
from captum.attr import LayerIntegratedGradients

from calig import explain
from calig.api import encode
from calig.baselines import choose_baseline
from calig.errors import InvalidInputError
from calig.families import FAMILIES
from calig.pairs import encode_pair
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import save_tiny_tokenizer

PAIR = ("the film is not good , it is dull", "a good film")
#: The same nodes on both sides.
FINE = {"n_points": 150, "objective": "logit"}
NAMES = [name for name in CASES if FAMILIES[name].modality == "text" and CASES[name].nodes]


@pytest.fixture
def tokenizer(tmp_path):
    return tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path))


def tokenizer_for(name, tokenizer):
    names = ["input_ids", "token_type_ids", "attention_mask"] if CASES[name].token_types else ["input_ids", "attention_mask"]
    tokenizer.model_input_names = names
    return tokenizer


@pytest.mark.parametrize(
    ("name", "side"), [*((name, "both") for name in NAMES), *product(("bert", "roberta"), ("text", "text_pair"))]
)
def test_every_layer_equals_captum_on_the_untouched_model(tokenizer, name, side):
    """Captum's LayerIntegratedGradients on the model's own forward pass: both sides in one call, the kept one in both ends."""
    model = tiny(name)
    tokenizer = tokenizer_for(name, tokenizer)
    result = explain(model, tokenizer, [PAIR], explain=side, **FINE)[0]
    row = encode(PAIR, model, tokenizer, explain=side)
    assert row.input_ids == tokenizer(*PAIR)["input_ids"]
    taken = choose_baseline("auto", model, tokenizer, "text").apply(row)
    inputs = list(row.inputs)

    def forward(*tensors):
        return model(**dict(zip(inputs, tensors, strict=True))).logits[:, model.config.label2id[result.target]]

    ends = [tuple(of[name] for name in inputs) for of in (row.inputs, taken)]
    for layer, node in enumerate(CASES[name].nodes(model)):
        expected = LayerIntegratedGradients(forward, node).attribute(
            ends[0], baselines=ends[1], n_steps=150, method="gausslegendre", internal_batch_size=75
        )
        exact = 1e-6 if name == "gemma2" else 1e-9  # its own softmax is float32 in any precision
        np.testing.assert_allclose(result.layer_attributions[layer], expected.sum(-1)[0].detach().numpy(), rtol=1e-6, atol=exact)
    np.testing.assert_allclose(result.layers.sum(-1), result.f_input - result.f_baseline, rtol=1e-5)  # what 150 nodes leave


def test_token_types_reach_the_model(tokenizer):
    """The logits are the model's own for the two texts, and not those without token types."""
    model = tiny("bert")
    with_types, without = (
        explain(model, tokenizer_for("bert", tokenizer), [PAIR])[0],
        model(tokenizer(*PAIR, return_tensors="pt")["input_ids"]),
    )
    own = model(**tokenizer(*PAIR, return_tensors="pt")).logits[0].detach().numpy()
    np.testing.assert_allclose(with_types.logits, own, rtol=1e-9)
    assert np.abs(without.logits[0].detach().numpy() - own).max() > 1e-3
    assert with_types.token_types == tokenizer(*PAIR)["token_type_ids"]


def test_words_know_their_side(tokenizer):
    result = explain(tiny("bert"), tokenizer, [PAIR])[0]
    by_side = [[word for word in result.words if word.side == side] for side in (0, 1)]
    for text, words in zip(PAIR, by_side, strict=True):
        assert [word.text for word in words] == text.split()
        assert all(text[word.start : word.end] == word.text for word in words)
    content, sides = np.array(result.content), np.array(result.sides)
    assert sides.tolist() == [-1, *[0] * 9, -1, *[1] * 3, -1]
    for side, words in enumerate(by_side):
        assert sum(word.value for word in words) == pytest.approx(result.values[content & (sides == side)].sum())
    np.testing.assert_allclose(result.layers_by_word().mean(0), [word.value for word in result.words], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("side", "kept"), [("text", 1), ("text_pair", 0)])
def test_the_kept_side_has_no_attribution(tokenizer, side, kept):
    model = tiny("bert")
    result = explain(model, tokenizer, [PAIR], explain=side)[0]
    of_kept = np.array(result.sides) == kept
    assert np.abs(result.values[of_kept]).max() == 0.0
    assert np.abs(result.layer_attributions[0][of_kept]).max() < 1e-12
    assert not np.array(result.content)[of_kept].any()
    assert {word.side for word in result.words} == {1 - kept}
    assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline)
    assert result.f_baseline != pytest.approx(explain(model, tokenizer, [PAIR])[0].f_baseline)


def test_rows_with_equal_lengths_and_other_kept_sides_do_not_share_a_baseline(tokenizer):
    """x' is passed once where rows share it: the kept side is part of x'."""
    model, pairs = tiny("bert"), [("a good film", "it is bad"), ("a good film", "it is dull")]
    together = explain(
        model, tokenizer, pairs, explain="text", objective="logit", target="NEG" if "NEG" in model.config.label2id else "LABEL_0"
    )
    alone = [explain(model, tokenizer, [pair], explain="text", objective="logit", target=together[0].target)[0] for pair in pairs]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-9, atol=1e-12)
    assert together[0].f_baseline != together[1].f_baseline


@pytest.mark.parametrize("truncation_side", ["right", "left"])
@pytest.mark.parametrize("pair", [PAIR, PAIR[::-1], ("a good film it is", "it was a bad"), ("a film", "a bad plot")])
@pytest.mark.parametrize("limit", range(5, 16))
def test_long_pairs_are_cut_as_the_tokenizer_cuts_them(tokenizer, pair, limit, truncation_side):
    tokenizer.truncation_side = truncation_side
    row = encode_pair(pair, tokenizer, limit=limit)
    expected = tokenizer(*pair, truncation=True, max_length=limit)
    assert row.input_ids == expected["input_ids"]
    assert row.inputs["token_type_ids"][0].tolist() == expected["token_type_ids"]
    n = len(tokenizer(*pair)["input_ids"]) - 3
    assert row.coverage == pytest.approx((len(expected["input_ids"]) - 3) / n)


def test_pairs_and_single_texts_go_together(tokenizer):
    model = tiny("bert")
    mixed = explain(model, tokenizer, ["a good film", ("a good film", "it is bad")])
    assert [bool(result.sides) for result in mixed] == [False, True]
    np.testing.assert_allclose(mixed[0].values, explain(model, tokenizer, "a good film")[0].values, rtol=1e-9)


@pytest.mark.parametrize(
    ("item", "settings", "message"),
    [
        (("a film", "  "), {}, "a text of the pair has no tokens to attribute\ngot: text_pair"),
        (("", "a film"), {}, "a text of the pair has no tokens to attribute\ngot: text"),
        (("a", "b", "c"), {}, "allowed: texts \\(str\\), and pairs"),
        (("a", None), {}, "allowed: texts \\(str\\), and pairs"),
        (PAIR, {"max_length": 4}, "no room for both texts"),
        (PAIR, {"long_texts": "windows", "max_length": 8}, "too long for windows.*\ngot: 9 and 3 tokens\nallowed: 2"),
        (PAIR, {"explain": "first"}, "unknown side of pairs"),
        ("a film", {"explain": "text"}, "one side can be explained of pairs alone"),
        ("a film", {"explain": "text", "long_texts": "windows"}, "one side can be explained of pairs alone"),
    ],
)
def test_what_cannot_be_explained_says_why(tokenizer, item, settings, message):
    with pytest.raises(InvalidInputError, match=message):
        explain(tiny("bert"), tokenizer, [item], **settings)


def test_a_model_without_the_token_type_is_refused(tokenizer):
    model = tiny("bert")
    model.config.type_vocab_size = 1
    with pytest.raises(InvalidInputError, match="not made for pairs"):
        explain(model, tokenizer, [PAIR])


def test_a_tokenizer_that_drops_the_second_text_is_refused(tokenizer):
    class FirstAlone:
        def __getattr__(self, name):
            return getattr(tokenizer, name)

        def __call__(self, text, second=None, **options):
            return tokenizer(text, **options)

    with pytest.raises(InvalidInputError, match="takes no pairs"):
        explain(tiny("bert"), FirstAlone(), [PAIR])


#: Words that are tokens: nine and three of them, so that windows of the longer text can be tokenized on their own.
LONG, SHORT = PAIR


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("side", ["both", "text", "text_pair"])
def test_the_longer_text_is_in_windows_and_the_other_whole_in_each(tokenizer, turned, side):
    """By hand: 10 tokens leave room for 7, four of them for the longer text beside the three of the other; one is repeated."""
    model, pair = tiny("bert"), (SHORT, LONG) if turned else (LONG, SHORT)
    options = {"explain": side, "target": "predicted", "objective": "logit", "n_points": 12}
    (result,) = explain(model, tokenizer, [pair], long_texts="windows", max_length=10, window_overlap=0.25, **options)
    words = LONG.split()
    stretches = [" ".join(words[begin : begin + 4]) for begin in (0, 3, 6)]
    pairs = [(SHORT, some) if turned else (some, SHORT) for some in stretches]
    logits = np.mean([one.logits for one in explain(model, tokenizer, pairs, **options)], axis=0)
    np.testing.assert_allclose(result.logits, logits, rtol=1e-9)
    names = list(model.config.id2label.values())
    assert result.predicted == result.target == names[int(logits.argmax())]
    parts = explain(model, tokenizer, pairs, **options | {"target": f"class:{result.target}"})
    first = 1 + (len(SHORT.split()) + 1) * turned
    assert result.windows == [(first, first + 4), (first + 3, first + 7), (first + 6, first + 9)]
    expected = np.zeros(len(result.tokens))
    for part, (begin, end) in zip(parts, result.windows, strict=True):
        places = [*range(first), *range(begin, end), *range(first + 9, len(expected))]
        expected[places] += part.values / 3
    np.testing.assert_allclose(result.values, expected, atol=1e-9)
    assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, abs=1e-4)
    assert [word.text for word in result.words] == [
        word for name, text in zip(("text", "text_pair"), pair, strict=True) if side in {"both", name} for word in text.split()
    ]
    assert (result.coverage, len(result.sides), sum(result.token_types) > 0) == (1.0, len(expected), True)


def test_a_pair_that_fits_is_the_same_with_windows(tokenizer):
    model = tiny("bert")
    cut, windows = (explain(model, tokenizer, [PAIR], n_points=4, long_texts=how)[0] for how in ("truncate", "windows"))
    np.testing.assert_array_equal(cut.values, windows.values)
    assert windows.windows is None


def test_notebooks_show_both_sides(tokenizer):
    model = tiny("bert")
    whole, one = (explain(model, tokenizer, [PAIR], explain=side)[0]._repr_html_() for side in ("both", "text"))
    assert whole.index(">text<") < whole.index(">dull<") < whole.index(">text_pair<") < whole.rindex(">good<")
    assert "text_pair (kept as it is, not explained)" in one
