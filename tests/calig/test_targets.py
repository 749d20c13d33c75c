"""What can be explained: a class, a margin, every label on its own, the output of a regression."""

import copy

import numpy as np
import pytest
import torch
import transformers as tf
from captum.attr import LayerIntegratedGradients

from calig import InvalidInputError, explain
from calig.baselines import choose_baseline
from calig.inputs import encode_text
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
    targets = choose_targets(option, LOGITS, NAMES, labels, "centred")
    assert [t.name for (t,) in targets] == expected


def test_selectors_are_linear_functions_of_the_logits():
    f = selector(choose_targets("margin", LOGITS, NAMES, [None, None], "centred"), LOGITS)(LOGITS)
    assert f.tolist() == [[1.0], [0.5]]
    assert selector([[Target("A", ((0, 1.0),))]], LOGITS[:1]).weights.tolist() == [[[1.0, 0.0, 0.0]]]


@pytest.mark.parametrize("objective", ["centred", "log_odds"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_a_common_shift_of_the_logits_is_no_part_of_f(objective, n_classes):
    logits = torch.randn(4, n_classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    names = NAMES[:n_classes] if n_classes < 4 else [*NAMES, "D", "E"]
    f = selector(choose_targets("predicted", logits, names, [None] * 4, objective), logits)
    np.testing.assert_allclose(f(logits + 7.0), f(logits), rtol=1e-12)
    if objective == "log_odds" or n_classes == 2:
        p = torch.softmax(logits, -1).max(-1).values
        np.testing.assert_allclose(f(logits)[:, 0], torch.log(p / (1 - p)), rtol=1e-9)
    else:
        rest = (logits.sum(-1) - logits.max(-1).values) / (n_classes - 1)
        np.testing.assert_allclose(f(logits)[:, 0], logits.max(-1).values - rest, rtol=1e-12)


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


@pytest.fixture(scope="module")
def softmax_of_three(three_labels):
    model = copy.deepcopy(three_labels)
    model.config.problem_type = None
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
    first, second = (
        explain(model, tokenizer, TEXTS[0], target=name, n_points=40, objective="logit")[0] for name in margin.target.split(" − ")
    )
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


def test_two_logits_are_one_decision(bert):
    """With two classes the centred logit, the log-odds and the margin are one function, and its negative speaks for the other."""
    model, tokenizer = bert
    assert problem_type(tiny("bert")) == "single_label_classification"
    settings = {"n_points": 12}
    centred, other = (explain(model, tokenizer, TEXTS[0], target=name, **settings)[0] for name in ("POS", "NEG"))
    log_odds = explain(model, tokenizer, TEXTS[0], target="POS", objective="log_odds", **settings)[0]
    margin = explain(model, tokenizer, TEXTS[0], target="margin", **settings)[0]
    np.testing.assert_array_equal(centred.layer_attributions, log_odds.layer_attributions)
    np.testing.assert_allclose(centred.layer_attributions, -other.layer_attributions, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.abs(centred.layer_attributions), np.abs(margin.layer_attributions), rtol=1e-12, atol=1e-15)
    assert centred.target_weights == {"NEG": -1.0, "POS": 1.0}


@pytest.mark.parametrize("objective", ["centred", "log_odds", "logit"])
def test_every_objective_equals_captum_and_is_complete(bert, softmax_of_three, objective):
    """Captum integrates the same function of the model's own logits."""
    model, tokenizer = softmax_of_three, bert[1]
    (result,) = explain(model, tokenizer, TEXTS[0], objective=objective, n_points=60)
    row = encode_text(TEXTS[0], tokenizer, limit=None)
    taken = choose_baseline("auto", model, tokenizer, "text").apply(row)
    names = list(row.inputs)
    index = model.config.label2id[result.target]

    def f(*tensors):
        logits = model(**dict(zip(names, tensors, strict=True))).logits
        others = logits[:, [i for i in range(3) if i != index]]
        less = {"centred": others.mean(-1), "log_odds": others.logsumexp(-1), "logit": 0.0}[objective]
        return logits[:, index] - less

    expected = LayerIntegratedGradients(f, model.bert.embeddings).attribute(
        tuple(row.inputs.values()), baselines=tuple(taken.values()), n_steps=60, method="gausslegendre"
    )
    expected = (expected[0] if isinstance(expected, tuple) else expected).sum(-1)[0].detach().numpy()
    np.testing.assert_allclose(result.layer_attributions[0], expected, rtol=1e-6, atol=1e-9)
    assert result.f_input == pytest.approx(f(*row.inputs.values()).item())
    for chosen in explain(model, tokenizer, TEXTS, objective=objective):
        assert chosen.values.sum() == pytest.approx(chosen.f_input - chosen.f_baseline, abs=1e-9)
        assert chosen.objective == objective


def test_labels_that_do_not_exclude_each_other_keep_their_logit(bert, three_labels):
    """Nothing is common to independent outputs: the settings' objective is for a softmax."""
    default, logit = (explain(three_labels, bert[1], TEXTS[0], n_points=12, **o)[0] for o in ({}, {"objective": "logit"}))
    np.testing.assert_array_equal(default.values, logit.values)
    assert default.objective == "logit"
    assert set(default.target_weights.values()) == {0.0, 1.0}


def test_an_unknown_objective_is_refused(bert):
    with pytest.raises(InvalidInputError, match="allowed: centred, logit, log_odds"):
        explain(*bert, TEXTS[0], objective="probability")


@pytest.mark.parametrize("id2label", [{1: "A", 2: "B"}, {0: "A", 2: "B"}], ids=["one-based", "gapped"])
def test_names_stand_for_the_logits_of_their_ids(id2label, bert):
    """One-based tables are a common slip (huggingface/transformers#3093): each name would be given to the next class's logit."""
    model, tokenizer = copy.deepcopy(bert[0]), bert[1]
    model.config.id2label = id2label
    with pytest.raises(InvalidInputError, match="ids in id2label are not those of the logits"):
        explain(model, tokenizer, TEXTS[0])
