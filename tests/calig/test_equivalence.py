"""Models that compute the same function in another way are explained alike."""

import copy

import numpy as np
import pytest
import torch

from calig import explain
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import tiny


def test_a_gain_that_the_next_layer_undoes_changes_nothing(tokenizer_of_ids):
    """Before-norm blocks: what reads a normalisation undoes its gain, in every block."""
    model = tiny("llama")
    same = copy.deepcopy(model)
    scale = torch.linspace(0.25, 4.0, model.config.hidden_size, dtype=torch.float64)
    with torch.no_grad():
        for layer in same.model.layers:
            attention, mlp = layer.self_attn, layer.mlp
            for norm, readers in (
                (layer.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)),
                (layer.post_attention_layernorm, (mlp.gate_proj, mlp.up_proj)),
            ):
                norm.weight *= scale
                for linear in readers:
                    linear.weight /= scale
    a, b = (explain(m, tokenizer_of_ids, TEXTS[:2]) for m in (model, same))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(other.layers, one.layers, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_the_head_s_scale_scales_attributions_and_nothing_else(bert, factor):
    """A power of two changes no digit: nodes, residuals and flags are equal, the values are `factor` times as large."""
    model, tokenizer = bert
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        scaled.classifier.weight *= factor
        scaled.classifier.bias *= factor
    for one, other in zip(*(explain(m, tokenizer, TEXTS) for m in (model, scaled)), strict=True):
        assert other.n_points == one.n_points
        np.testing.assert_array_equal(other.residuals, one.residuals)
        assert other.converged == one.converged
        np.testing.assert_allclose(other.layers, factor * one.layers, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_a_tiny_head_is_integrated_as_well_as_a_large_one(bert, factor):
    model, tokenizer = bert
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        scaled.classifier.weight *= factor
        scaled.classifier.bias *= factor
    for one, other in zip(*(explain(m, tokenizer, TEXTS) for m in (model, scaled)), strict=True):
        assert other.converged == one.converged
        np.testing.assert_allclose(other.layers, factor * one.layers, rtol=1e-6, atol=1e-9 * factor)


@pytest.fixture
def tokenizer_of_ids(bert):
    """The tiny tokenizer, for a model without segments."""
    tokenizer = copy.deepcopy(bert[1])
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer
