"""Fusion and rollout against the literal matrix products, and the invariants that must survive every λ and rule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calig.rollout import (
    CONTEXT_RULES,
    FUSION_RULES,
    SIGNED,
    attention_flow,
    carry_down,
    evidence_flow,
    fuse,
    gated,
    normalise_rows,
    rolled_out,
    rolled_out_by_change,
)

#: What gating does not look at.
NO_CHANGE = torch.empty(0)


def random_context(generator, batch, seq):
    return normalise_rows(torch.rand(batch, seq, seq, generator=generator, dtype=torch.float64))


def roll_out(layer_attributions, mixing):
    """What the engine does with `carry_down`: block by block from the top; mixing is M^{L−1} … M¹."""
    relevance = layer_attributions
    for block, matrix in zip(range(relevance.shape[1] - 1, 0, -1), mixing, strict=True):
        relevance = carry_down(relevance, matrix, block)
    return relevance


def literal_rollout(layer_attributions, mixing):
    """rˡ = sˡ Mˡ ⋯ M¹ with whole matrices, one row and layer at a time; mixing[b] is M^{b+1}."""
    result = torch.empty_like(layer_attributions)
    for row in range(layer_attributions.shape[0]):
        transport = torch.eye(layer_attributions.shape[-1], dtype=torch.float64)
        for layer in range(layer_attributions.shape[1]):
            if layer:
                transport = mixing[layer - 1][row] @ transport
            result[row, layer] = layer_attributions[row, layer] @ transport
    return result


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 5), st.integers(2, 7), st.floats(0, 1))
def test_equals_the_literal_products_and_keeps_every_layers_sum(seed, batch, layers, seq, coefficient):
    generator = torch.Generator().manual_seed(seed)
    s = torch.randn(batch, layers, seq, generator=generator, dtype=torch.float64)
    mixing = [fuse(random_context(generator, batch, seq), coefficient) for _ in range(layers - 1)]
    r = roll_out(s, reversed(mixing))
    torch.testing.assert_close(r, literal_rollout(s, mixing), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(r.sum(-1), s.sum(-1), rtol=1e-9, atol=1e-9)


def test_without_context_nothing_moves():
    s = torch.randn(2, 3, 5, dtype=torch.float64)
    mixing = [fuse(random_context(torch.Generator().manual_seed(i), 2, 5), 0.0) for i in range(2)]
    torch.testing.assert_close(roll_out(s, mixing), s, rtol=0, atol=0)


def test_a_row_without_context_stays_where_it_is():
    context = torch.tensor([[[0.0, 0.0], [1.0, 3.0]]])
    torch.testing.assert_close(normalise_rows(context), torch.tensor([[[1.0, 0.0], [0.25, 0.75]]]))


def test_a_signed_context_by_hand():
    """Two heads whose A ⊙ ∂f/∂A have the means (0.3, −0.1) and (0, 0): over 0.4, and the rest of sum one on the diagonal."""
    attention = torch.tensor([[[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]]]], dtype=torch.float64)
    gradient = torch.tensor([[[[1.0, -0.8], [0.0, 2.0]], [[0.2, 0.4], [0.0, -2.0]]]], dtype=torch.float64)
    context = CONTEXT_RULES[SIGNED](attention, gradient)
    torch.testing.assert_close(context, torch.tensor([[[0.75 + 0.5, -0.25], [0.0, 1.0]]], dtype=torch.float64))
    supporting = torch.tensor([[[0.0, 0.0], [2.0, 1.0]]], dtype=torch.float64)
    carried = rolled_out(supporting, context, NO_CHANGE, 1.0, 1)[0, 1]
    torch.testing.assert_close(carried, torch.tensor([2.5, 1.0 - 0.5], dtype=torch.float64))


def test_a_signed_context_keeps_sums():
    generator = torch.Generator().manual_seed(0)
    attention = torch.rand(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    gradient = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    context = CONTEXT_RULES[SIGNED](attention, gradient)
    torch.testing.assert_close(context.sum(-1), torch.ones(2, 4, dtype=torch.float64))
    relevance = torch.randn(2, 2, 4, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(rolled_out(relevance, context, NO_CHANGE, 1.0, 1).sum(-1), relevance.sum(-1))


def test_hand_computed_carry():
    s = torch.tensor([[[0.0, 0.0], [2.0, -1.0]]], dtype=torch.float64)
    mixing = torch.tensor([[[0.5, 0.5], [0.0, 1.0]]], dtype=torch.float64)
    torch.testing.assert_close(roll_out(s, [mixing])[0, 1], torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_attention_flow_keeps_its_sum():
    flow = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    attention = random_context(torch.Generator().manual_seed(0), 1, 3)
    step = attention_flow(flow, attention)
    assert step.sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(step, 0.5 * flow + 0.5 * attention[:, 0])


def test_relevance_comes_only_from_what_changed():
    """λ = ½ and C = ½ everywhere: rows ∝ (¾ d₁, ¼ d₂) and (¼ d₁, ¾ d₂). With d = (0, 2) all of it goes to the second position."""
    relevance = torch.tensor([[[9.0, 9.0], [2.0, 1.0]]], dtype=torch.float64)
    context = torch.full((1, 2, 2), 0.5, dtype=torch.float64)
    one_changed = torch.tensor([[0.0, 2.0]], dtype=torch.float64)
    result = rolled_out_by_change(relevance, context, one_changed, 0.5, 1)
    assert result[0].tolist() == [[9.0, 9.0], [0.0, 3.0]]
    uneven = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    result = rolled_out_by_change(relevance, context, uneven, 0.5, 1)
    torch.testing.assert_close(result[0, 1], torch.tensor([1.0 + 0.1, 1.0 + 0.9], dtype=torch.float64))
    nothing = rolled_out_by_change(relevance, context, torch.zeros(1, 2, dtype=torch.float64), 0.5, 1)
    torch.testing.assert_close(nothing, relevance)  # no row has anywhere to go


def test_without_differences_in_change_it_is_the_rollout():
    generator = torch.Generator().manual_seed(0)
    relevance, context = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64), random_context(generator, 2, 4)
    even = torch.full((2, 4), 0.7, dtype=torch.float64)
    expected = rolled_out(relevance, context, even, 0.3, 2)
    torch.testing.assert_close(rolled_out_by_change(relevance, context, even, 0.3, 2), expected)


def test_gating_by_hand():
    """Column sums (1.5, 0.5) of C at λ = 1: (2, 1) becomes (3, 0.5), then times 3 / 3.5 so that the sum stays 3."""
    relevance = torch.tensor([[[2.0, 1.0], [5.0, 5.0]]], dtype=torch.float64)
    context = torch.tensor([[[0.75, 0.25], [0.75, 0.25]]], dtype=torch.float64)
    result = gated(relevance, context, NO_CHANGE, 1.0, 1)
    torch.testing.assert_close(result[0, 0], torch.tensor([3.0, 0.5], dtype=torch.float64) * 3 / 3.5)
    assert result[0, 1].tolist() == [5.0, 5.0]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(FUSION_RULES)), st.integers(0, 10_000), st.integers(2, 7), st.floats(0, 1))
def test_every_rule_keeps_every_layers_sum(rule, seed, seq, coefficient):
    generator = torch.Generator().manual_seed(seed)
    relevance = torch.randn(2, 3, seq, generator=generator, dtype=torch.float64)
    result = relevance
    for block in (3, 2, 1):
        change = torch.rand(2, seq, generator=generator, dtype=torch.float64)
        result = FUSION_RULES[rule](result, random_context(generator, 2, seq), change, coefficient, block)
    torch.testing.assert_close(result.sum(-1), relevance.sum(-1), rtol=1e-9, atol=1e-9)


def test_gating_leaves_what_cancels_and_changes_nothing_without_context():
    generator = torch.Generator().manual_seed(0)
    context = random_context(generator, 1, 3)
    cancelling = torch.tensor([[[1.0, -1.0, 1e-9]]], dtype=torch.float64)
    even = torch.full((1, 3, 3), 1 / 3, dtype=torch.float64)
    torch.testing.assert_close(gated(cancelling, even, NO_CHANGE, 1.0, 1), cancelling)
    relevance = torch.randn(1, 1, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(gated(relevance, context, NO_CHANGE, 0.0, 1), relevance)


def test_without_context_every_rule_gives_the_layers_as_they_are():
    relevance = torch.randn(1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    context = random_context(torch.Generator().manual_seed(1), 1, 4)
    for rule in FUSION_RULES.values():
        torch.testing.assert_close(rule(relevance, context, torch.ones(1, 4, dtype=torch.float64), 0.0, 2), relevance)


def test_evidence_flow_equals_the_literal_update():
    """R ← R + Ē R from the first block up, as the paper writes it; the row of the read-out position is what flows down."""
    generator = torch.Generator().manual_seed(0)
    evidence = [torch.rand(1, 5, 5, generator=generator, dtype=torch.float64) for _ in range(3)]
    literal = torch.eye(5, dtype=torch.float64)
    for matrix in evidence:
        literal = literal + matrix[0] @ literal
    flow = torch.eye(5, dtype=torch.float64)[2:3]
    for matrix in reversed(evidence):
        flow = evidence_flow(flow, matrix)
    torch.testing.assert_close(flow[0], literal[2])
