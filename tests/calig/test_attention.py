"""Attention weights and their gradients from q, k, v and the output's gradient, against autograd through eager attention."""

import pytest
import torch

from calig.attention import attention_weights, block_context
from calig.blocks import attributable
from calig.errors import VerificationError
from calig.rollout import CONTEXT_RULES


@pytest.fixture
def padded(bert):
    model, tokenizer = bert
    batch = tokenizer(["the film is great", "a very dull and boring film"], padding=True, return_tensors="pt")
    assert (batch["attention_mask"] == 0).any()
    return model, dict(batch)


def eager_attention(model, inputs):
    """Attention per block and its gradient from ordinary autograd, `batch heads seq seq`."""
    model.set_attn_implementation("eager")
    try:
        output = model(**inputs, output_attentions=True)
        return output.attentions, torch.autograd.grad(output.logits[:, 1].sum(), output.attentions)
    finally:
        model.set_attn_implementation("sdpa")


@pytest.mark.parametrize("rule", CONTEXT_RULES)
def test_context_equals_autograd_through_eager_attention(padded, rule):
    model, inputs = padded
    attentions, gradients = eager_attention(model, inputs)
    with attributable(model) as stack:
        trace = stack.trace(inputs)
        outputs = [call.output for call in trace.attention]
        output_gradients = torch.autograd.grad(trace.logits[:, 1].sum(), outputs)
    for call, gradient, attention, expected in zip(trace.attention, output_gradients, attentions, gradients, strict=True):
        contexts, mean, evidence = block_context(call, gradient, [rule])
        literal = CONTEXT_RULES[rule](attention, expected)
        torch.testing.assert_close(contexts[rule], literal, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(mean, attention.mean(1), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(evidence, (attention * expected).clamp(min=0).mean(1), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("term", ["s_aux", "position_bias"])
def test_terms_that_nothing_here_knows_are_refused(bert, term):
    """Attention sinks and biases change the softmax: A would not be what the model used. They come as keyword arguments."""
    model, tokenizer = bert
    inputs = dict(tokenizer("the film is great", return_tensors="pt"))
    with attributable(model) as stack, pytest.raises(VerificationError, match=f"terms that .*\ngot: {term} in BertSelfAttention"):
        stack.trace({**inputs, term: torch.zeros(4)})


def test_rows_sum_to_one_and_padding_gets_nothing(padded):
    model, inputs = padded
    with attributable(model) as stack:
        call = stack.trace(inputs).attention[0]
    weights = attention_weights(call)
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights.sum(-1)))
    padding = inputs["attention_mask"] == 0
    assert weights.transpose(1, 3)[padding].abs().max() == 0


def test_part_of_a_batch_is_that_part(padded):
    model, inputs = padded
    with attributable(model) as stack:
        call = stack.trace(inputs).attention[0]
    torch.testing.assert_close(attention_weights(call.rows(slice(1, 2))), attention_weights(call)[1:2])
