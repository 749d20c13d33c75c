"""Families that compute attention by themselves: DeBERTa's convolution, its shared arguments, what the adapter refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers as tf
from captum.attr import LayerIntegratedGradients

from calig import explain
from calig.attention import WatchedCall, recorded_attention
from calig.blocks import attributable
from calig.errors import VerificationError
from calig.families import FAMILIES, OwnAttention
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import RELATIVE, TEXT, seeded, tiny

#: Three positions apart at most: a batch of eight rows has as many rows as the table of relative positions.
BUCKETS = 4


def with_convolution():
    """As the larger models of version 2 have it: the second block reads the first one's output and its input."""
    torch.manual_seed(0)
    config = tf.DebertaV2Config(**TEXT, **RELATIVE, position_buckets=BUCKETS, conv_kernel_size=3, conv_act="gelu")
    return seeded(tf.DebertaV2ForSequenceClassification(config))


def test_the_convolution_beside_the_first_block_is_part_of_the_path(bert):
    model, tokenizer = with_convolution(), bert[1]
    result = explain(model, tokenizer, TEXTS[0], n_points=150, objective="logit", target="LABEL_1")[0]
    ids = tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    content = torch.tensor([result.content])
    baseline = ids.masked_fill(content, tokenizer.mask_token_id)
    nodes = [model.deberta.embeddings, model.deberta.encoder.conv, model.deberta.encoder.layer[1].output]
    for layer, node in enumerate(nodes):
        expected = LayerIntegratedGradients(lambda x: model(x).logits[:, 1], node).attribute(
            ids, baselines=baseline, n_steps=150, method="gausslegendre"
        )
        expected = (expected[0] if isinstance(expected, tuple) else expected).sum(-1)[0].detach().numpy()
        np.testing.assert_allclose(result.layer_attributions[layer], expected, rtol=1e-6, atol=1e-9)


def test_arguments_that_belong_to_no_row_are_not_taken_for_rows(bert):
    """A table of relative positions with as many rows as the batch must not be reordered with it."""
    model, tokenizer = with_convolution(), bert[1]
    text = TEXTS[0]
    alone = explain(model, tokenizer, text)[0]
    together = explain(model, tokenizer, [text] * (2 * BUCKETS), batch_tokens=1024)
    np.testing.assert_allclose(together[-1].layers, alone.layers, rtol=1e-9, atol=1e-12)


def test_the_adapter_does_not_believe_a_wrong_place_of_the_attention(bert, monkeypatch):
    family = replace(FAMILIES["deberta-v2"], attention=OwnAttention("attention.self", "query_proj"))
    monkeypatch.setitem(FAMILIES, "deberta-v2", family)
    with pytest.raises(VerificationError, match="its attention has another shape"):
        explain(tiny("deberta-v2"), bert[1], TEXTS[0])


def test_nothing_is_left_of_watching():
    model = tiny("deberta-v2")
    with attributable(model) as stack:
        stack.trace({"input_ids": torch.tensor([[2, 7, 8, 3]])})
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_watched_call_of_some_rows_is_that_of_those_rows():
    model = tiny("deberta")
    ids = torch.tensor([[2, 7, 8, 3], [2, 30, 9, 3], [2, 11, 12, 3]])
    with attributable(model) as stack, recorded_attention() as calls:
        model(input_ids=ids)
        whole = calls[0].formed_again()[0]
        assert isinstance(calls[0], WatchedCall)
        torch.testing.assert_close(calls[0].rows(slice(1, 3)).formed_again()[0], whole[1:])
        assert len(calls) == len(stack.blocks)
