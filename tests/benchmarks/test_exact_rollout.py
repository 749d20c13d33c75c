"""The exact signed rollout is complete, and is plain integrated gradients where a model has a single layer."""

import numpy as np
import pytest
from transformers import BertConfig, BertForSequenceClassification

from calig import explain, load_model
from calig.api import encode
from calig.baselines import choose_baseline
from calig.blocks import attributable
from tests.benchmarks.faithfulness.exact import exact_rollout
from tests.helpers.tiny_models import save_tiny_bert

TEXT = "a very dull and boring film"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return load_model(save_tiny_bert(tmp_path_factory.mktemp("bert"), layers=3), dtype="float64", device="cpu")


def exact(model, tokenizer, points):
    with attributable(model) as stack:
        baseline = choose_baseline("auto", model, tokenizer, "text")
        return exact_rollout(stack, encode(TEXT, model, tokenizer), baseline, "centred", points)


def test_the_map_sums_to_the_difference_of_f(bert):
    model, tokenizer = bert
    (known,) = explain(model, tokenizer, TEXT)
    assert exact(model, tokenizer, 96).sum() == pytest.approx(known.f_input - known.f_baseline, rel=1e-4)


def test_one_layer_is_plain_integrated_gradients(bert):
    _, tokenizer = bert
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    single = BertForSequenceClassification(BertConfig(num_hidden_layers=1, **sizes)).double().eval()
    (known,) = explain(single, tokenizer, TEXT, n_points=96)
    np.testing.assert_allclose(exact(single, tokenizer, 96), known.layer_attributions[0], rtol=1e-9, atol=1e-12)
