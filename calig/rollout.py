"""Fusion of attributions with attention context, and rollout to the input (deploy/docs/method.md, sections 2 to 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: A row of the context matrix with less than this sum has no path to the logit and becomes the identity row.
_EMPTY_ROW = 1e-12

#: A sum this small beside its terms is what cancelling has left: scaling by it would blow up rounding.
_CANCELLED = 0.05

#: The one context rule whose C has negative entries: only the rule `rollout` keeps sums with it.
SIGNED = "signed"

#: The one fusion rule without attention: the model itself carries the layers' attributions to the input, see `calig.exact`.
EXACT = "exact"

#: Share of the class-specific context in the rule `mixed`; the rest is attention.
_CLASS_SPECIFIC = 0.25


def normalise_rows(context: Tensor) -> Tensor:
    """Divide each row by its sum; a row that sums to ~0 becomes the identity row. `batch seq seq`, non-negative."""
    sums = context.sum(-1, keepdim=True)
    identity = torch.eye(context.shape[-1], dtype=context.dtype, device=context.device)
    return torch.where(sums > _EMPTY_ROW, context / sums.clamp(min=_EMPTY_ROW), identity)


def evidence_of(attention: Tensor, gradient: Tensor) -> Tensor:
    """max(0, A ⊙ ∂f/∂A), mean over heads, `batch seq seq`: what attention does for the class."""
    return (attention * gradient).clamp(min=0).mean(1)


def _mixed(attention: Tensor, gradient: Tensor) -> Tensor:
    """A quarter of what serves the class and three quarters of where the model looks at all, each with rows of sum one.

    Evidence alone is sparse and noisy: where nearly all of it lies on a few positions it carries everything there.
    """
    evidence, looks = normalise_rows(evidence_of(attention, gradient)), normalise_rows(attention.mean(1))
    return _CLASS_SPECIFIC * evidence + (1.0 - _CLASS_SPECIFIC) * looks


def _signed(attention: Tensor, gradient: Tensor) -> Tensor:
    """A ⊙ ∂f/∂A with its signs, mean over heads, each row over its absolute sum; what a row lacks of sum one stays where it is.

    So attention that speaks against the class turns the sign of what it carries, which no other rule can.
    """
    evidence = (attention * gradient).mean(1)
    sums = evidence.abs().sum(-1, keepdim=True)
    signed = torch.where(sums > _EMPTY_ROW, evidence / sums.clamp(min=_EMPTY_ROW), 0.0)
    return signed + torch.diag_embed(1.0 - signed.sum(-1))


#: The context matrix C, `batch seq seq` with rows of sum one, from attention A and its class-specific gradient ∂f/∂A (each
#: `batch heads seq seq`).
CONTEXT_RULES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "positive": lambda attention, gradient: normalise_rows(evidence_of(attention, gradient)),
    "absolute": lambda attention, gradient: normalise_rows((attention * gradient).abs().mean(1)),
    "attention": lambda attention, _: normalise_rows(attention.mean(1)),
    "mixed": _mixed,
    SIGNED: _signed,
}


def fuse(context: Tensor, fusion_coefficient: float) -> Tensor:
    """M = (1 − λ) I + λ C, row-stochastic when C is. `batch seq seq`."""
    identity = torch.eye(context.shape[-1], dtype=context.dtype, device=context.device)
    return (1.0 - fusion_coefficient) * identity + fusion_coefficient * context


def carry_down(relevance: Tensor, mixing: Tensor, block: int) -> Tensor:
    """Carry the relevance of every layer above `block` through it: rˡ ← rˡ M for l ≥ block.

    Called for the blocks L−1 … 1 in this order, it turns sˡ into rˡ = sˡ Mˡ ⋯ M¹ with vector-matrix products only.

    Args:
        relevance: `batch layers seq`, float64.
        mixing: M of this block, `batch seq seq`, row-stochastic; so each layer keeps its sum.
    """
    carried = relevance[:, block:] @ mixing.to(relevance.dtype)
    return torch.cat([relevance[:, :block], carried], dim=1)


def rolled_out(relevance: Tensor, context: Tensor, change: Tensor, fusion_coefficient: float, block: int) -> Tensor:  # noqa: ARG001
    """Fusion rule `rollout`: M = (1 − λ) I + λ C carries the layers above the block to its input (equation 3)."""
    return carry_down(relevance, fuse(context, fusion_coefficient), block)


def rolled_out_by_change(relevance: Tensor, context: Tensor, change: Tensor, fusion_coefficient: float, block: int) -> Tensor:
    """Fusion rule `change`: as `rollout`, but relevance comes from a position only as far as it differs from x'; our own.

    M_ij ∝ ((1 − λ) δ_ij + λ C_ij) ‖h_j − h'_j‖, rows normalised: what is the same in x and x' cannot be why the logits differ.

    Args:
        change: ‖h − h'‖ at the block's input, `batch seq`.
    """
    return carry_down(relevance, normalise_rows(fuse(context, fusion_coefficient) * change.unsqueeze(1)), block)


def gated(relevance: Tensor, context: Tensor, change: Tensor, fusion_coefficient: float, block: int) -> Tensor:  # noqa: ARG001
    """Fusion rule `gate`: rˡ = sˡ ⊙ ((1 − λ) + λ ĉ), scaled so that the layer keeps its sum; this project's own.

    ĉ says how much the block that reads the layer looks at each of its positions: the column sums of C, scaled to mean one.
    Relevance stays where it is. A layer whose gated values all but cancel cannot be scaled and keeps its values as they are.

    Args:
        relevance: `batch layers seq`, float64; the layer at the block's input is gated.
        context: C of this block, `batch seq seq`, rows sum to one, so that the column sums have mean one already.
    """
    own = relevance[:, block - 1]
    weighted = own * (1.0 - fusion_coefficient + fusion_coefficient * context.sum(1).to(own.dtype))
    total = weighted.sum(-1, keepdim=True)
    sound = total.abs() >= _CANCELLED * weighted.abs().sum(-1, keepdim=True).clamp(min=torch.finfo(own.dtype).tiny)
    scaled = torch.where(sound, weighted * (own.sum(-1, keepdim=True) / torch.where(sound, total, 1.0)), own)
    return torch.cat([relevance[:, : block - 1], scaled.unsqueeze(1), relevance[:, block:]], dim=1)


def left(relevance: Tensor, context: Tensor, change: Tensor, fusion_coefficient: float, block: int) -> Tensor:  # noqa: ARG001
    """Fusion rule `exact`: attention carries nothing; what the model carries is mixed in at the input, by `mixed_with_exact`."""
    return relevance


def mixed_with_exact(relevance: Tensor, exact: Tensor, fusion_coefficient: float) -> Tensor:
    """rˡ = (1 − λ) sˡ + λ e: complete, as both are.

    Args:
        relevance: sˡ, `batch layers seq`.
        exact: e, the exact signed rollout, `batch seq`.
    """
    return (1.0 - fusion_coefficient) * relevance + fusion_coefficient * exact.unsqueeze(1)


#: How attributions and context become relevance: (relevance of all layers, C of a block, ‖h − h'‖ at its input, λ, block) →
#: relevance. Applied from the last block down.
FUSION_RULES: dict[str, Callable[[Tensor, Tensor, Tensor, float, int], Tensor]] = {
    "rollout": rolled_out,
    "change": rolled_out_by_change,
    "gate": gated,
    EXACT: left,
}


@dataclass(frozen=True)
class Fusion:
    """How context is fused with attributions: a key of FUSION_RULES, λ in [0, 1], and a key of CONTEXT_RULES."""

    rule: str
    coefficient: float
    context_rule: str


#: Fusions with a name. contrast: this project's own, the default; relevance flows to where the input differs from the baseline,
#: mostly by plain attention. paper: the reading closest to what is public of CA-LIG (arXiv 2602.16608), class-specific positive
#: gradients rolled out; its λ is not public, a half is that of attention rollout (Abnar and Zuidema 2020). exact: no attention;
#: the layers' gradients carried to the input by the model itself, our own.
PRESETS: dict[str, Fusion] = {
    "contrast": Fusion("change", 0.2, "mixed"),
    "paper": Fusion("rollout", 0.5, "positive"),
    "exact": Fusion(EXACT, 1.0, "mixed"),
}


def evidence_flow(flow: Tensor, evidence: Tensor) -> Tensor:
    """One step of attention-gradient rollout (Chefer et al. 2021, equations 5 and 6): v ← v (I + Ē).

    flow: `batch seq`; evidence: Ē = mean over heads of max(0, A ⊙ ∂f/∂A), `batch seq seq`.
    """
    return flow + (flow.unsqueeze(1) @ evidence.to(flow.dtype)).squeeze(1)


def attention_flow(flow: Tensor, attention: Tensor) -> Tensor:
    """One step of attention rollout (Abnar and Zuidema 2020): v ← v (½ I + ½ Ā), with Ā the mean over heads.

    flow: `batch seq`, the share of the read-out position's information that comes from each position.
    """
    return 0.5 * flow + 0.5 * (flow.unsqueeze(1) @ attention.to(flow.dtype)).squeeze(1)
