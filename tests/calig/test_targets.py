"""What can be explained: a class, a margin, every label on its own, the output of a regression."""

import numpy as np
import pytest
import torch
import transformers as tf

from calig import InvalidInputError, explain
from calig.targets import Target, choose_targets, problem_type, selector
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import TEXT, tiny

LOGITS = torch.tensor([[0.5, 2.0, 1.0], [3.0, -1.0, 2.5]])
NAMES = ["A", "B", "C"]


@pytest.mark.parametrize(
    ("option", "labels", "expected"),
    [
        ("predicted", [None, None], ["B", "A"]),
        ("gold", ["C", "B"], ["C", "B"]),
        ("C", [None, None], ["C", "C"]),
        ("margin", [None, None], ["B − C", "A − C"]),
    ],
)
def test_one_target_per_row(option, labels, expected):
    targets = choose_targets(option, LOGITS, NAMES, labels)
    assert [t.name for (t,) in targets] == expected


def test_selectors_are_linear_functions_of_the_logits():
    f = (LOGITS[:, None] * selector(choose_targets("margin", LOGITS, NAMES, [None, None]), LOGITS)).sum(-1)
    assert f.tolist() == [[1.0], [0.5]]
    assert selector([[Target("A", ((0, 1.0),))]], LOGITS[:1]).tolist() == [[[1.0, 0.0, 0.0]]]


@pytest.fixture(scope="module")
def three_labels():
    torch.manual_seed(1)
    config = tf.BertConfig(**{**TEXT, "num_labels": 3}, problem_type="multi_label_classification")
    config.id2label, config.label2id = dict(enumerate(NAMES)), {name: i for i, name in enumerate(NAMES)}
    model = tf.BertForSequenceClassification(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.2)
    return model


def test_each_label_equals_that_label_alone_and_shares_its_forward_passes(bert, three_labels):
    _, tokenizer = bert
    passes = []
    hook = three_labels.classifier.register_forward_hook(lambda *_: passes.append(1))
    together = explain(three_labels, tokenizer, TEXTS[:2], target="each", n_points=12)
    n_together = len(passes)
    alone = [explain(three_labels, tokenizer, text, target=name, n_points=12)[0] for text in TEXTS[:2] for name in NAMES]
    hook.remove()
    assert [a.target for a in together] == [a.target for a in alone] == NAMES * 2
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a.layers, b.layers, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(a.attention_rollout, b.attention_rollout, rtol=1e-9)
    assert n_together < (len(passes) - n_together) / 2


def test_each_label_is_complete_when_points_are_chosen_by_need(bert, three_labels):
    for result in explain(three_labels, bert[1], TEXTS, target="each"):
        assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, abs=1e-9)
        assert result.probability == pytest.approx(1 / (1 + np.exp(-result.logits.max())))


def test_margins_are_differences_of_classes(bert):
    model, tokenizer = bert
    (margin,) = explain(model, tokenizer, TEXTS[0], target="margin", n_points=40)
    first, second = (explain(model, tokenizer, TEXTS[0], target=name, n_points=40)[0] for name in margin.target.split(" − "))
    assert first.target == margin.predicted
    np.testing.assert_allclose(margin.layer_attributions, first.layer_attributions - second.layer_attributions, atol=1e-12)


def test_a_regression_model_explains_its_output(bert):
    torch.manual_seed(2)
    model = tf.BertForSequenceClassification(tf.BertConfig(**{**TEXT, "num_labels": 1})).double().eval()
    assert problem_type(model) == "regression"
    (result,) = explain(model, bert[1], TEXTS[0])
    assert result.f_input == pytest.approx(result.logits[0])
    assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, abs=1e-9)
    assert np.isnan(result.probability)
    with pytest.raises(InvalidInputError, match="a margin needs two classes"):
        explain(model, bert[1], TEXTS[0], target="margin")


def test_two_logits_are_one_decision():
    model = tiny("bert")
    assert problem_type(model) == "single_label_classification"
