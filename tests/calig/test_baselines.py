"""x' differs from x in content alone: everything else at the embeddings is the same, for every family and baseline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import processors

from calig import InvalidInputError, explain
from calig.api import encode
from calig.baselines import choose_baseline, mean_embedding
from calig.blocks import Replacement, attributable
from calig.families import FAMILIES
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import WORDS, save_tiny_tokenizer

TEXT_CASES = [name for name in CASES if FAMILIES[name].modality == "text"]


@pytest.fixture
def tokenizer(tmp_path):
    return tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path))


@pytest.mark.parametrize("kind", ["mask", "pad", "mean"])
@pytest.mark.parametrize("name", TEXT_CASES)
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([*WORDS, "[PAD]", "[MASK]"]), min_size=1, max_size=12))
def test_special_tokens_contribute_nothing_at_layer_zero(name, kind, tokenizer, words):
    tokenizer.model_input_names = ["input_ids", "attention_mask"] + ["token_type_ids"] * CASES[name].token_types
    model = tiny(name)
    row = encode(" ".join(words), model, tokenizer)
    baseline = choose_baseline(kind, model, tokenizer, "text")
    special = ~np.array(row.content)
    with attributable(model) as stack:
        x = stack.trace(row.inputs).hidden[0].detach()
        where = torch.tensor([row.content])
        replaced = stack.trace(row.inputs, replacement=Replacement(where, baseline.embedding)).hidden[0].detach()
    assert torch.equal(x[0, special], replaced[0, special])
    result = explain(model, tokenizer, " ".join(words), baseline=kind, n_points=2)[0]
    np.testing.assert_array_equal(result.layer_attributions[0][special], 0.0)


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta"])
def test_padding_as_baseline_keeps_the_positions(name, tokenizer):
    """The other way: position ids of x, given by hand, with the content replaced by padding."""
    model = tiny(name)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    row = encode("the film is not good", model, tokenizer)
    ids = row.inputs["input_ids"]
    assert not (ids == model.config.pad_token_id).any()
    positions = torch.arange(ids.shape[1])[None] + model.config.pad_token_id + 1
    without = ids.masked_fill(torch.tensor([row.content]), tokenizer.pad_token_id)
    result = explain(model, tokenizer, "the film is not good", baseline="pad", objective="logit")[0]
    with torch.no_grad():
        expected = model(input_ids=without, position_ids=positions).logits[0, model.config.label2id[result.target]]
        shifted = model(input_ids=without).logits[0, model.config.label2id[result.target]]
    assert result.f_baseline == pytest.approx(expected.item(), rel=1e-9)
    assert result.f_baseline != pytest.approx(shifted.item(), rel=1e-3)


@pytest.mark.parametrize("name", TEXT_CASES)
def test_the_mean_embedding_has_the_scale_of_the_layer(name):
    model = tiny(name)
    words = model.get_input_embeddings()
    torch.testing.assert_close(mean_embedding(model), words(torch.arange(words.num_embeddings)).mean(0).detach())


def test_the_scale_of_gemma_is_in_the_baseline(tokenizer):
    model = tiny("gemma")
    row = encode("good film", model, tokenizer)
    embedding = choose_baseline("mean", model, tokenizer, "text").embedding
    assert embedding.norm() == pytest.approx((model.model.embed_tokens.weight.mean(0) * 32**0.5).norm().item())
    taken = choose_baseline("mean", model, tokenizer, "text").apply(row)["inputs_embeds"]
    special = ~torch.tensor(row.content)
    torch.testing.assert_close(taken[0, special], model.model.embed_tokens(row.inputs["input_ids"])[0, special])


def test_rows_that_share_their_baseline_are_told_apart_by_padding_in_their_text(tokenizer):
    """RoBERTa numbers no position for a padding token, also for one that somebody wrote: such rows have an x' of their own."""
    model = tiny("roberta")
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    texts = ["good film plot", "good [PAD] plot", "dull film plot"]
    together = explain(model, tokenizer, texts, target=model.config.id2label[0])
    alone = [explain(model, tokenizer, text, target=model.config.id2label[0])[0] for text in texts]
    np.testing.assert_allclose([r.f_baseline for r in together], [r.f_baseline for r in alone], rtol=1e-12)
    assert together[0].f_baseline == together[2].f_baseline != together[1].f_baseline


def test_without_mask_or_padding_the_next_best_stands_for_no_content(tokenizer):
    """Evidence still sums to the difference of the logits; nothing is guessed in place of a token that is not there."""
    model = tiny("bert")
    for kind, attribute in (("mask", "mask_token"), ("pad", "pad_token"), ("mean", None)):
        result = explain(model, tokenizer, "the film is not good")[0]
        assert choose_baseline("auto", model, tokenizer, "text").kind == kind
        assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, rel=1e-6)
        if attribute is not None:
            setattr(tokenizer, attribute, None)
    with pytest.raises(InvalidInputError, match="allowed: auto, mean"):
        choose_baseline("pad", model, tokenizer, "text")


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_without_class_token_and_padding_every_token_is_content(name, tokenizer):
    """What the head reads is then a content token, or the last one; several rows go through at once."""
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    model = tiny(name)
    if name != "bert":
        model.config.pad_token_id = tokenizer.pad_token = None
    results = explain(model, tokenizer, ["good film plot", "dull film plot"])
    for result, text in zip(results, ("good film plot", "dull film plot"), strict=True):
        assert len(result.values) == len(text.split())
        assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, rel=1e-6)
        np.testing.assert_allclose(result.logits, model(**tokenizer(text, return_tensors="pt")).logits[0].tolist(), rtol=1e-9)


def test_a_token_without_an_embedding_is_no_baseline(tokenizer):
    model = tiny("llama")
    tokenizer.add_special_tokens({"mask_token": "[NEW]"})
    assert tokenizer.mask_token_id >= model.get_input_embeddings().num_embeddings
    assert choose_baseline("auto", model, tokenizer, "text").kind == "pad"
    with pytest.raises(InvalidInputError, match="allowed: auto, mean, pad"):
        choose_baseline("mask", model, tokenizer, "text")
