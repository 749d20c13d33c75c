"""The model's own logits are the oracle: on every row, read where the model reads, whatever the tokens at the end are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers as tf

from calig import VerificationError, engine, explain
from calig.api import encode
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.engine import Options, attribute
from calig.families import FAMILIES
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import save_tiny_tokenizer

TEXT_CASES = [name for name in CASES if FAMILIES[name].modality == "text"]
DECODERS = [name for name in TEXT_CASES if FAMILIES[name].reads_last]


@pytest.fixture
def tokenizer(tmp_path):
    made = tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path))
    made.model_input_names = ["input_ids", "attention_mask"]
    return made


def own(model, tokenizer, text):
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        return model(ids).logits[0].numpy()


def rtol(name):
    """Gemma 2 has eager attention only, and that takes its softmax in float32 whatever the model's precision is: some 16 eps."""
    return 1e-5 if name == "gemma2" else 1e-9


@pytest.mark.parametrize("name", TEXT_CASES)
def test_recorded_logits_are_the_models_own(name, tokenizer):
    model = tiny(name)
    for text, result in zip(TEXTS, explain(model, tokenizer, TEXTS), strict=True):
        np.testing.assert_allclose(result.logits, own(model, tokenizer, text), rtol=rtol(name))


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("text", ["good film [SEP]", "good [SEP] [SEP] [SEP]", "good film", "[SEP]"])
def test_decoders_are_read_where_the_padding_ends(name, tokenizer, text):
    """The padding token is the end of the text, as many decoders have it, and every text ends with it."""
    model = tiny(name)
    tokenizer.pad_token, model.config.pad_token_id = "[SEP]", tokenizer.sep_token_id
    texts = [text, "a dull plot", "great film !"]
    for each, result in zip(texts, explain(model, tokenizer, texts, tolerance=1e-4), strict=True):
        np.testing.assert_allclose(result.logits, own(model, tokenizer, each), rtol=rtol(name))
        assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, abs=1e-9)
        read = max(i for i, token in enumerate(result.input_ids) if token != tokenizer.sep_token_id)
        np.testing.assert_allclose(result.layers[:, read + 1 :], 0.0, atol=1e-12)


def test_decoders_without_a_padding_token(tokenizer):
    """They refuse batches: their own logits are asked for row by row."""
    model = tiny("llama")
    model.config.pad_token_id = None
    for text, result in zip(TEXTS, explain(model, tokenizer, TEXTS), strict=True):
        np.testing.assert_allclose(result.logits, own(model, tokenizer, text), rtol=1e-9)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_the_oracle_is_the_callers_own_attention(bert, implementation, monkeypatch):
    model, tokenizer = bert
    seen = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **given: seen.append(model.config._attn_implementation) or forward(**given))
    model.set_attn_implementation(implementation)
    try:
        explain(model, tokenizer, TEXTS[0])
    finally:
        model.set_attn_implementation("sdpa")
    assert set(seen) == {implementation}


def spoiled(model, monkeypatch, spoil):
    """The model's own forward, with other logits for the rows that `spoil` picks from the token ids."""
    forward = model.forward

    def changed(**given):
        output = forward(**given)
        rows = torch.tensor([spoil(row) for row in given["input_ids"].tolist()])
        output.logits[rows] += 0.5
        return output

    monkeypatch.setattr(model, "forward", changed)


def run(model, tokenizer, texts, problems):
    with attributable(model) as stack:
        rows = [encode(text, model, tokenizer) for text in texts]
        baseline = choose_baseline("auto", model, tokenizer, "text")
        return attribute(stack, rows, [None] * len(rows), baseline, Options(), None, None, problems)


def test_one_row_that_differs_is_a_problem_of_that_row(bert, monkeypatch):
    model, tokenizer = bert
    marked = tokenizer.convert_tokens_to_ids("boring")
    spoiled(model, monkeypatch, lambda row: marked in row)
    problems: dict[int, str] = {}
    results = run(model, tokenizer, TEXTS, problems)
    assert [len(result) for result in results] == [1, 0, 1, 1]
    assert set(problems) == {1}
    assert "differ from the model's own by 0.5" in problems[1]
    with pytest.raises(VerificationError, match="bert: row 1"):
        explain(model, tokenizer, TEXTS)


def test_a_share_of_rows_ends_the_run_with_the_family(bert, monkeypatch):
    model, tokenizer = bert
    spoiled(model, monkeypatch, lambda row: True)
    with pytest.raises(VerificationError, match=r"bert: 2 of 4 rows .*"):
        run(model, tokenizer, TEXTS, {})


def test_logits_that_are_not_finite_cost_no_integration(bert, monkeypatch):
    model, tokenizer = bert
    marked = tokenizer.convert_tokens_to_ids("boring")
    forward = model.forward

    def broken(**given):
        output = forward(**given)
        output.logits[torch.tensor([marked in row for row in given["input_ids"].tolist()])] = torch.inf
        return output

    monkeypatch.setattr(model, "forward", broken)
    sizes = []
    whole = engine.attribute_group
    monkeypatch.setattr(
        engine, "attribute_group", lambda stack, rows, *rest: sizes.append(len(rows)) or whole(stack, rows, *rest)
    )
    problems: dict[int, str] = {}
    run(model, tokenizer, TEXTS, problems)
    assert problems == {1: "the model's own logits are NaN or infinite"}
    assert sum(sizes) == 3
