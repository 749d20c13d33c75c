"""The whole method: against Captum layer by layer, against a model worked out by hand, and the method's invariants."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calig import engine, explain, passes
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.families import FAMILIES, Family
from calig.inputs import EncodedInput, encode_text
from calig.rollout import CONTEXT_RULES, SIGNED, Fusion
from tests.calig.conftest import TEXTS
from tests.helpers.hand_model import HandModelForSequenceClassification

#: The same nodes on both sides: what is compared is everything but the choice of nodes.
FINE = {"n_points": 150, "objective": "logit"}


def captum_layers(model, inputs, baseline_inputs, target, nodes, n_steps=150):
    """Captum's attributions of the output of every module of `nodes`, summed over hidden: `layers seq`."""
    names = list(inputs)

    def forward(*tensors):
        return model(**dict(zip(names, tensors, strict=True))).logits[:, target]

    def of(node):
        method = LayerIntegratedGradients(forward, node)
        rows = method.attribute(
            tuple(inputs.values()),
            baselines=tuple(baseline_inputs.values()),
            n_steps=n_steps,
            method="gausslegendre",
        )
        return (rows[0] if isinstance(rows, tuple) else rows).sum(-1)[0].detach().numpy()

    return np.stack([of(node) for node in nodes])


def test_every_layer_equals_captum_for_texts(bert):
    model, tokenizer = bert
    result = explain(model, tokenizer, TEXTS[0], **FINE)[0]
    row = encode_text(TEXTS[0], tokenizer, limit=None)
    baseline = choose_baseline("auto", model, tokenizer, "text").apply(row)
    order = ("input_ids", "token_type_ids", "attention_mask")
    expected = captum_layers(
        model,
        {n: row.inputs[n] for n in order},
        {n: baseline[n] for n in order},
        model.config.label2id[result.target],
        [model.bert.embeddings, *model.bert.encoder.layer[:-1]],
    )
    np.testing.assert_allclose(result.layer_attributions, expected, rtol=1e-6, atol=1e-9)


def test_every_layer_equals_captum_for_images(vit, pictures):
    model, processor = vit
    result = explain(model, processor, pictures[0], **FINE)[0]
    pixels = processor(images=pictures[0], return_tensors="pt")["pixel_values"].double()
    black = processor(images=pictures[0].point(lambda _: 0), return_tensors="pt")["pixel_values"].double()
    target = model.config.label2id[result.target]
    nodes = [model.vit.embeddings, *model.vit.layers[:-1]]
    expected = captum_layers(model, {"pixel_values": pixels}, {"pixel_values": black}, target, nodes)
    np.testing.assert_allclose(result.layer_attributions, expected, rtol=1e-6, atol=1e-9)


def test_layer_zero_is_ordinary_integrated_gradients(bert):
    model, tokenizer = bert
    result = explain(model, tokenizer, TEXTS[1], **FINE)[0]
    row = encode_text(TEXTS[1], tokenizer, limit=None)
    baseline = choose_baseline("auto", model, tokenizer, "text").apply(row)
    with attributable(model) as stack:
        ends = [stack.trace(inputs).hidden[0].detach() for inputs in (row.inputs, baseline)]
        trace = stack.trace(row.inputs)

        def from_embeddings(hidden):
            return stack.resume({0: hidden}, trace, torch.zeros(len(hidden), dtype=torch.long))

        method = IntegratedGradients(from_embeddings)
        target = model.config.label2id[result.target]
        expected = method.attribute(ends[0], baselines=ends[1], target=target, n_steps=150, method="gausslegendre")
    np.testing.assert_allclose(result.layer_attributions[0], expected.sum(-1)[0].numpy(), rtol=1e-6, atol=1e-9)


def test_a_model_worked_out_by_hand(monkeypatch):
    """h ← (I + U) h twice, f = w · h_0: with U² = U, s⁰_j = w·Δ_j (δ_j0 + 3/n), s¹_j = w·(Δ_j + Δ̄)(δ_j0 + 1/n)."""
    monkeypatch.setitem(FAMILIES, "hand", Family("hand", "text", lambda m: list(m.blocks), lambda m, h: m.head(h)))
    table = torch.tensor([[0.0, 0.0], [1.0, 2.0], [-1.0, 0.5], [2.0, 0.0]], dtype=torch.float64)
    weights = torch.tensor([1.0, 0.5], dtype=torch.float64)
    model = HandModelForSequenceClassification(table, weights, n_blocks=2)
    rows = [_encoded([1, 2, 3])]
    baseline = _ToZero()
    with attributable(model) as stack:
        from calig.engine import Options, attribute

        options = Options(target="A", fusion_rule="rollout", fusion_coefficient=0.5, context_rule="attention")
        result = attribute(stack, rows, [None], baseline, options)[0][0]
    step = table[[1, 2, 3]] @ weights
    first = np.array([1.0, 0.0, 0.0])
    s0 = step.numpy() * (first + 3 / 3)
    s1 = (step + step.mean()).numpy() * (first + 1 / 3)
    np.testing.assert_allclose(result.layer_attributions, [s0, s1], rtol=1e-12)
    r1 = 0.5 * s1 + 0.5 * s1.mean()
    np.testing.assert_allclose(result.layers, [s0, r1], rtol=1e-12)
    np.testing.assert_allclose(result.values, (s0 + r1) / 2, rtol=1e-12)
    assert result.n_points == [3, 3], "a linear model needs no more than the first look"
    np.testing.assert_allclose(result.attention_rollout, _flow(_flow(first)), rtol=1e-12)


def _flow(v):
    return 0.5 * v + 0.5 * v.sum() / 3


def _encoded(ids):
    n = len(ids)
    return EncodedInput("x", None, {"input_ids": torch.tensor([ids])}, ["x"] * n, [-1] * n, [-1] * n, [True] * n, 1.0)


class _ToZero:
    embedding = None

    def apply(self, row):
        return {"input_ids": torch.zeros_like(row.inputs["input_ids"])}


@pytest.mark.parametrize("rule", CONTEXT_RULES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1))
def test_completeness_survives_every_coefficient_and_rule(bert, rule, coefficient):
    model, tokenizer = bert
    fused = {"context_rule": rule, "fusion_rule": "rollout" if rule == SIGNED else "change"}
    for result in explain(model, tokenizer, TEXTS[:2], fusion_coefficient=coefficient, **fused, tolerance=1e-6):
        difference = result.f_input - result.f_baseline
        np.testing.assert_allclose(result.layer_attributions.sum(-1), difference, rtol=1e-5)
        np.testing.assert_allclose(result.layers.sum(-1), difference, rtol=1e-5)
        assert result.values.sum() == pytest.approx(difference, rel=1e-5)


def test_memory_running_out_halves_the_group_and_loses_no_row(bert, monkeypatch):
    model, tokenizer = bert
    texts = [TEXTS[0]] * 5
    expected = explain(model, tokenizer, texts)
    sizes, whole = [], engine.attribute_group

    def scarce(stack, rows, *rest):
        sizes.append(len(rows))
        if len(rows) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(stack, rows, *rest)

    monkeypatch.setattr(engine, "attribute_group", scarce)
    told = []
    results = explain(model, tokenizer, texts, progress=told.append)
    assert sizes == [5, 2, 2, 1]
    assert sum(told) == 5
    for a, b in zip(results, expected, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-9)


def test_memory_is_given_back_after_several_groups(bert, monkeypatch):
    model, tokenizer = bert
    returned = []
    monkeypatch.setattr(engine, "return_memory", lambda: returned.append(True))
    explain(model, tokenizer, [" ".join(["film"] * n) for n in range(1, 14)], n_points=2)
    assert len(returned) == 13 // engine._GROUPS_BETWEEN_RETURNS == 2


def test_results_are_fetched_once_a_round_however_many_sweeps_it_takes(bert, monkeypatch):
    """On a GPU every transfer waits for all that was asked for before it."""
    model, tokenizer = bert
    calls = {"fetched": 0, "evaluate": 0, "_sweep": 0}

    def counted(owner, name):
        whole = getattr(owner, name)

        def counting(*given, **options):
            calls[name] += 1
            return whole(*given, **options)

        monkeypatch.setattr(owner, name, counting)

    counted(passes, "fetched")
    counted(passes.Paths, "evaluate")
    counted(passes.Paths, "_sweep")
    explain(model, tokenizer, TEXTS[0], batch_tokens=32)
    assert calls["_sweep"] > calls["evaluate"] > 1
    assert calls["fetched"] == calls["evaluate"] + 1  # and once for the ends


def test_without_fusion_the_map_is_the_mean_of_the_layers(bert):
    model, tokenizer = bert
    result = explain(model, tokenizer, TEXTS[0], fusion_coefficient=0.0)[0]
    np.testing.assert_allclose(result.values, result.layer_attributions.mean(0), rtol=1e-12)


def test_an_input_equal_to_its_baseline_gets_zero(bert):
    model, tokenizer = bert
    result = explain(model, tokenizer, "[MASK] [MASK] [MASK]")[0]
    np.testing.assert_array_equal(result.values, 0.0)
    assert result.converged


@pytest.mark.parametrize("batch_tokens", [16, 4096])
def test_a_row_does_not_depend_on_its_company(bert, batch_tokens):
    model, tokenizer = bert
    together = explain(model, tokenizer, [*TEXTS, *reversed(TEXTS)], batch_tokens=batch_tokens)
    for text, first, second in zip(TEXTS, together, reversed(together), strict=False):
        alone = explain(model, tokenizer, text)[0]
        np.testing.assert_allclose(first.layers, alone.layers, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(second.layers, alone.layers, rtol=1e-9, atol=1e-12)
        assert first.n_points == alone.n_points


def test_float32_is_near_float64(bert):
    model, tokenizer = bert
    exact = explain(model, tokenizer, TEXTS)
    try:
        rough = explain(model.float(), tokenizer, TEXTS)
    finally:
        model.double()
    for a, b in zip(rough, exact, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-4, atol=1e-4 * np.abs(b.values).max())


@pytest.mark.parametrize("baseline", ["mask", "mean"])
def test_bfloat16_is_computed_and_judged(bert, baseline):
    """Eight bits of mantissa: near the exact values, and what they cannot resolve is flagged, never silently kept."""
    model, tokenizer = bert
    exact = explain(model, tokenizer, TEXTS, baseline=baseline)
    rough = explain(deepcopy(model).bfloat16(), tokenizer, TEXTS, baseline=baseline, max_points=33)
    for a, b in zip(rough, exact, strict=True):
        assert np.abs(a.values - b.values).sum() <= 0.3 * np.abs(b.values).sum()
        assert not a.converged or max(a.residuals) <= 0.01


def test_rows_that_share_a_baseline_share_its_pass(bert):
    model, tokenizer = bert
    passes = []
    hook = model.bert.register_forward_hook(lambda _, __, output: passes.append(len(output[0])))
    explain(model, tokenizer, ["great film !", "bad plot ,", "good film !"], target="POS")
    hook.remove()
    assert passes[0] == 3, "the inputs"
    assert passes[-1] == 1, "one baseline of masks"


def test_a_row_beyond_the_budget_is_flagged(bert):
    model, tokenizer = bert
    result = explain(model, tokenizer, TEXTS[1], tolerance=1e-12, max_points=3)[0]
    assert not result.converged
    assert result.n_points == [3, 3, 3]


@pytest.mark.parametrize(("target", "labels"), [("POS", None), ("gold", ["POS"])])
def test_named_and_gold_targets(bert, target, labels):
    model, tokenizer = bert
    result = explain(model, tokenizer, TEXTS[0], target=target, labels=labels)[0]
    assert result.target == "POS"
    assert result.f_input == pytest.approx(result.logits[1] - result.logits[0])
    alone = explain(model, tokenizer, TEXTS[0], target=target, labels=labels, objective="logit")[0]
    assert alone.f_input == pytest.approx(alone.logits[model.config.label2id["POS"]])


def test_nothing_is_left_behind(bert):
    model, tokenizer = bert
    model.train()
    for parameter in list(model.parameters())[::2]:
        parameter.requires_grad_(False)
    before = [(p.requires_grad, p.detach().clone()) for p in model.parameters()]
    explain(model, tokenizer, TEXTS[0])
    with pytest.raises(RuntimeError, match="stop here"), attributable(model):
        raise RuntimeError("stop here")
    assert model.training
    assert model.config._attn_implementation == "sdpa"
    assert not any(b._forward_pre_hooks for b in model.modules())
    for (required, value), parameter in zip(before, model.parameters(), strict=True):
        assert parameter.requires_grad == required
        assert parameter.grad is None
        assert torch.equal(value, parameter)
    model.eval().requires_grad_(True)


def test_maps_under_other_fusions_come_from_the_same_integrals(bert):
    """Choosing between fusions costs no gradients: every alternative equals a run of its own."""
    model, tokenizer = bert
    fusions = (Fusion("rollout", 0.5, "absolute"), Fusion("gate", 0.25, "mixed"), Fusion("rollout", 0.0, "positive"))
    fusions += (Fusion("exact", 1.0, "mixed"), Fusion("exact", 0.25, "attention"))
    row = encode_text(TEXTS[1], tokenizer, limit=None)
    baseline = choose_baseline("auto", model, tokenizer, "text")
    with attributable(model) as stack:
        options = engine.Options(alternatives=fusions)
        ((result,),) = engine.attribute(stack, [row], [None], baseline, options)
    for fusion, alternative in zip(fusions, result.alternatives, strict=True):
        alone = explain(
            model,
            tokenizer,
            TEXTS[1],
            fusion_rule=fusion.rule,
            fusion_coefficient=fusion.coefficient,
            context_rule=fusion.context_rule,
        )[0]
        np.testing.assert_allclose(alternative, alone.values, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(result.alternatives[2], result.layer_attributions.mean(0), rtol=1e-12, atol=1e-14)
