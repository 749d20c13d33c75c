"""Pairs of texts in the probe: words and changes go into one side, the other is scored as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import transformers as tf

from components import probe
from schemas.config import ProbeConfig
from tests.helpers.tiny_models import save_tiny_tokenizer

PAIRS = [
    (f"the film {word} is good", f"it was not a {word} plot")
    for word in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"]
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.mark.parametrize("explain", ["both", "text", "text_pair"])
def test_both_texts_reach_the_tokenizer_in_their_order(tokenizer, explain) -> None:
    for made, pair in zip(probe.encoded(tokenizer, probe.probed_texts(PAIRS, explain)), PAIRS, strict=True):
        expected = tokenizer(*pair)
        assert made.input_ids.tolist() == expected["input_ids"]
        assert made.token_types is not None
        assert made.token_types.tolist() == expected["token_type_ids"]


def test_single_texts_are_encoded_as_before(tokenizer) -> None:
    (made,) = probe.encoded(tokenizer, probe.probed_texts([("a film\x1eplot", None)]))
    assert made.input_ids.tolist() == tokenizer("a film plot")["input_ids"]
    assert made.token_types is None


def test_words_go_into_one_side_and_the_other_is_held_fixed(tokenizer) -> None:
    texts = probe.probed_texts(PAIRS)
    contexts = probe.choose_contexts(lambda given: np.zeros((len(given), 2)), probe.context_candidates(texts, limit=200), 8)
    special = {tokenizer.cls_token_id, tokenizer.sep_token_id}
    sides = set()
    for context in contexts:
        (made,) = probe.encoded(tokenizer, [context.filled("btw")])
        assert made.token_types is not None
        ids = [
            [int(i) for i, of in zip(made.input_ids, made.token_types, strict=True) if of == side and i not in special]
            for side in (0, 1)
        ]
        with_word = [tokenizer.convert_tokens_to_ids("btw") in side for side in ids]
        assert sum(with_word) == 1
        kept = with_word.index(False)
        assert ids[kept] in [tokenizer(pair[kept], add_special_tokens=False)["input_ids"] for pair in PAIRS]
        sides.add(kept)
    assert sides == {0, 1}


def test_shown_contexts_name_the_fixed_side() -> None:
    texts = probe.probed_texts(PAIRS[:1] * 20, "text_pair")
    context = probe.choose_contexts(
        lambda given: np.zeros((len(given), 2)),
        probe.context_candidates([*texts, *probe.probed_texts(PAIRS[1:], "text_pair")], limit=200),
        2,
    )[0]
    shown = probe.shown_context(context, str.upper)
    assert shown.shown.endswith("[text: THE FILM A IS GOOD]")
    assert "\x1d" not in shown.shown


def test_transformations_change_the_open_side_alone(tokenizer) -> None:
    changes = probe.transformations(ProbeConfig().transformations, probe.read_transformation_words(None))
    rows = probe.transformed(probe.probed_texts(PAIRS, "text_pair"), changes)
    assert rows.changed["negation"]
    for changed in rows.changed.values():
        for at, text in changed.items():
            (made,) = probe.encoded(tokenizer, [text])
            first = tokenizer(PAIRS[at][0], add_special_tokens=False)["input_ids"]
            assert made.input_ids[1 : len(first) + 1].tolist() == first
            assert made.input_ids.tolist() != tokenizer(*PAIRS[at])["input_ids"] or text != text.lower()


def test_kept_logits_tell_rows_with_other_partners_apart(tmp_path: Path) -> None:
    from flows.pipeline.probed_models import ALONE

    kept = probe.KeptLogits(tmp_path, version_digest="v", contexts=ALONE)
    rows = probe.probed_texts([("a film", "x"), ("a film", "y")], "text")
    logits = kept.logits(lambda texts: np.arange(2.0 * len(texts)).reshape(-1, 2), rows)
    assert logits[0].tolist() != logits[1].tolist()
