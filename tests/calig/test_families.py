"""Every family on a seeded tiny model in float64: Captum's numbers at every layer, attention as eager autograd has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers as tf

from calig import explain, load_model
from calig.api import encode
from calig.attention import block_context
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.families import FAMILIES
from calig.rollout import CONTEXT_RULES
from tests.calig.conftest import TEXTS
from tests.helpers.captum_layers import from_every_block_on, on_the_untouched_model
from tests.helpers.tiny_families import CASES, SIZE

#: The same nodes on both sides.
FINE = {"n_points": 150, "objective": "logit"}
TEXT_CASES = [name for name in CASES if FAMILIES[name].modality == "text"]


def test_every_family_has_a_case():
    assert set(CASES) == set(FAMILIES)


@pytest.mark.parametrize("prepared", CASES, indirect=True)
def test_every_layer_is_integrated_gradients(prepared):
    """Captum's IntegratedGradients from the input of every block on; that resuming is right is checked by the engine."""
    model, processor, item = prepared
    result = explain(model, processor, item, **FINE)[0]
    expected = from_every_block_on(model, *_ends(model, processor, item), model.config.label2id[result.target], 150)
    np.testing.assert_allclose(result.layer_attributions, expected, rtol=1e-6, atol=1e-9)
    difference = result.f_input - result.f_baseline
    np.testing.assert_allclose(result.layers.sum(-1), difference, rtol=1e-6)


@pytest.mark.parametrize("prepared", [name for name, case in CASES.items() if case.nodes], indirect=True)
def test_every_layer_equals_captum_on_the_untouched_model(prepared):
    """Captum's LayerIntegratedGradients on the model's own forward pass and its own modules."""
    model, processor, item = prepared
    result = explain(model, processor, item, **FINE)[0]
    expected = on_the_untouched_model(model, *_ends(model, processor, item), model.config.label2id[result.target], 150)
    np.testing.assert_allclose(result.layer_attributions, expected, rtol=1e-6, atol=1e-9)


def _ends(model, processor, item):
    """The model's inputs x and x'."""
    row = encode(item, model, processor)
    baseline = choose_baseline("auto", model, processor, FAMILIES[model.config.model_type].modality)
    return row.inputs, baseline.apply(row)


@pytest.mark.parametrize("prepared", CASES, indirect=True)
def test_float32_gives_the_same_to_four_digits(prepared):
    """With the kernels that float32 gets: by the same nodes, every layer, against Captum's float64 values by way of ours."""
    model, processor, item = prepared
    exact = explain(model, processor, item, n_points=50)[0].layer_attributions
    single = explain(model.float(), processor, item, n_points=50)[0].layer_attributions
    np.testing.assert_allclose(single, exact, rtol=1e-4, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("prepared", CASES, indirect=True)
def test_points_chosen_by_need_are_within_the_tolerance(prepared):
    model, processor, item = prepared
    exact = explain(model, processor, item, n_points=150)[0]
    chosen = explain(model, processor, item, tolerance=1e-3)[0]
    error = np.abs(chosen.layer_attributions - exact.layer_attributions).sum(-1) / np.abs(exact.layer_attributions).sum(-1)
    assert chosen.converged
    assert error.max() <= 5e-3
    assert chosen.values.sum() == pytest.approx(chosen.f_input - chosen.f_baseline, abs=1e-9)


@pytest.mark.parametrize("prepared", CASES, indirect=True)
def test_context_equals_autograd_through_eager_attention(prepared):
    """To seven digits: several families' eager attention takes its softmax in float32 whatever the model's precision."""
    model, processor, item = prepared
    inputs = {k: v.double() if v.is_floating_point() else v for k, v in encode(item, model, processor).inputs.items()}
    with attributable(model) as stack:
        trace = stack.trace(inputs)
        gradients = torch.autograd.grad(trace.logits[:, 1].sum(), [call.output for call in trace.attention])
    model.set_attn_implementation("eager")
    output = model(**inputs, output_attentions=True)
    expected = torch.autograd.grad(output.logits[:, 1].sum(), output.attentions)
    for call, gradient, attention, wanted in zip(trace.attention, gradients, output.attentions, expected, strict=True):
        contexts, mean, _ = block_context(call, gradient, ["positive"])
        literal = CONTEXT_RULES["positive"](attention, wanted)
        torch.testing.assert_close(mean, attention.mean(1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(contexts["positive"], literal, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prepared", TEXT_CASES, indirect=True)
def test_a_row_does_not_depend_on_its_company(prepared):
    model, tokenizer, _ = prepared
    together = explain(model, tokenizer, [*TEXTS, *TEXTS])
    for text, result in zip(TEXTS, together, strict=False):
        np.testing.assert_allclose(result.layers, explain(model, tokenizer, text)[0].layers, rtol=1e-9, atol=1e-12)


def test_the_encoder_of_a_masked_autoencoder_makes_a_vit_classifier(tmp_path, pictures):
    config = tf.ViTMAEConfig(**SIZE, image_size=16, patch_size=4, decoder_hidden_size=16, decoder_num_hidden_layers=1)
    config.decoder_num_attention_heads = 2
    tf.ViTMAEForPreTraining(config).save_pretrained(tmp_path)
    model = tf.ViTForImageClassification.from_pretrained(tmp_path, num_labels=2)
    source = tf.ViTMAEModel.from_pretrained(tmp_path)
    assert torch.equal(
        next(p for n, p in model.named_parameters() if n.endswith("layers.0.mlp.fc1.weight")),
        next(p for n, p in source.named_parameters() if n.endswith("layers.0.mlp.fc1.weight")),
    )
    processor = tf.ViTImageProcessor(size={"height": 16, "width": 16})
    model.save_pretrained(tmp_path / "classifier")
    processor.save_pretrained(tmp_path / "classifier")
    for classifier in ((model, processor), load_model(tmp_path / "classifier", device="cpu")):
        result = explain(*classifier, pictures[0])[0]
        assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, rel=0.02, abs=1e-3)
