"""The exact signed rollout against its literal version, for every family; it is complete, and costs one path more."""

from copy import deepcopy

import numpy as np
import pytest
import transformers as tf

from calig import engine, explain
from calig.api import encode
from calig.baselines import choose_baseline
from calig.blocks import attributable
from tests.benchmarks.faithfulness.exact import exact_rollout
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import CASES, TEXT, seeded

#: The same nodes on both sides.
POINTS = 64


@pytest.mark.parametrize("prepared", ["bert", "distilbert", "deberta-v2", "llama", "vit"], indirect=True)
def test_equals_the_literal_version(prepared):
    model, processor, item = prepared
    with attributable(model) as stack:
        baseline = choose_baseline("auto", model, processor, stack.family.modality)
        expected = exact_rollout(stack, encode(item, model, processor), baseline, "centred", POINTS)
    (fixed,) = explain(model, processor, item, fusion="exact", n_points=POINTS)
    np.testing.assert_allclose(fixed.values, expected, rtol=1e-7, atol=1e-9)
    (adaptive,) = explain(model, processor, item, fusion="exact", tolerance=1e-4)
    np.testing.assert_allclose(adaptive.values, expected, atol=1e-3 * np.abs(expected).sum())


@pytest.mark.parametrize("prepared", CASES, indirect=True)
def test_the_map_is_complete_in_every_layer(prepared):
    (result,) = explain(*prepared, fusion="exact")
    difference = result.f_input - result.f_baseline
    np.testing.assert_allclose(result.layers, np.broadcast_to(result.values, result.layers.shape), rtol=1e-12, atol=1e-12)
    assert result.values.sum() == pytest.approx(difference, rel=1e-9, abs=1e-9)


def test_the_coefficient_leads_from_the_mean_of_the_layers_to_the_exact_rollout(bert):
    model, tokenizer = bert
    maps = [explain(model, tokenizer, TEXTS[1], fusion_rule="exact", fusion_coefficient=share)[0] for share in (0.0, 0.3, 1.0)]
    np.testing.assert_allclose(maps[0].values, maps[0].layer_attributions.mean(0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(maps[1].values, 0.7 * maps[0].values + 0.3 * maps[2].values, rtol=1e-9, atol=1e-12)


def test_a_single_layer_is_plain_integrated_gradients(bert):
    _, tokenizer = bert
    model = seeded(tf.BertForSequenceClassification(tf.BertConfig(**{**TEXT, "num_hidden_layers": 1})))
    (result,) = explain(model, tokenizer, TEXTS[0], fusion="exact", n_points=POINTS)
    np.testing.assert_allclose(result.values, result.layer_attributions[0], rtol=1e-9, atol=1e-12)


def test_classes_of_one_row_and_rows_of_one_length_are_each_as_if_alone(bert):
    _, tokenizer = bert
    model = seeded(
        tf.BertForSequenceClassification(tf.BertConfig(**{**TEXT, "num_labels": 3}, problem_type="multi_label_classification"))
    )
    texts = ["great film !", "dull plot ?", "a bad actor"]
    together = explain(model, tokenizer, texts, fusion="exact", target="each", n_points=POINTS)
    alone = [
        explain(model, tokenizer, text, fusion="exact", target=label, n_points=POINTS)[0]
        for text in texts
        for label in model.config.id2label.values()
    ]
    for a, b in zip(together, alone, strict=True):
        assert a.target == b.target
        np.testing.assert_allclose(a.values, b.values, rtol=1e-9, atol=1e-12)


def test_reduced_products_are_complete_too_and_near_the_whole_ones(bert):
    model, tokenizer = deepcopy(bert[0]).float(), bert[1]
    whole, reduced = (explain(model, tokenizer, TEXTS[0], fusion="exact", reduced=given)[0] for given in (False, True))
    assert reduced.values.sum() == pytest.approx(reduced.f_input - reduced.f_baseline, rel=1e-5)
    assert 0.0 < np.abs(reduced.values - whole.values).sum() < 0.05 * np.abs(whole.values).sum()  # bfloat16 keeps 8 bits


def test_a_path_of_the_input_that_does_not_converge_is_told(bert):
    model, tokenizer = bert
    (result,) = explain(model, tokenizer, TEXTS[0], fusion="exact", tolerance=1e-9, max_points=5)
    assert not result.converged


def test_the_layers_own_points_serve_it_and_nobody_else_keeps_them(bert, monkeypatch):
    """Without it nothing of it is computed; with it the layers' own points stay as they are."""
    model, tokenizer = bert
    kept, whole = [], engine.Paths.mean_gradients

    def counting(paths, integrals):
        kept.append(len(paths._kept))
        return whole(paths, integrals)

    monkeypatch.setattr(engine.Paths, "mean_gradients", counting)
    default = explain(model, tokenizer, TEXTS[:1])[0]
    assert kept == []
    exact = explain(model, tokenizer, TEXTS[:1], fusion="exact")[0]
    assert exact.n_points == default.n_points
    assert kept == [sum(default.n_points) - 2 * len(default.n_points)]
    np.testing.assert_array_equal(exact.layer_attributions, default.layer_attributions)
