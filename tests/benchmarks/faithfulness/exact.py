"""Exact signed rollout, on trial: the layers' gradients carried to the input by the model itself instead of by attention.

With Ḡˡ = ∫₀¹ ∂f⁽ˡ⁾/∂h dα along the path of layer l, whose product with hˡ − h′ˡ is that layer's integrated gradients, the map is

    r = IG of F from x′ to x,      F(x) = (1/L) Σ_l ⟨Ḡˡ, hˡ(x)⟩

It is signed and class-specific, has no λ, and is complete: F(x) − F(x′) = (1/L) Σ_l ⟨Ḡˡ, hˡ − h′ˡ⟩ = f(x) − f(x′). One further
path, from the input, serves all layers. It costs fixed points here and is compared by its values, not by its time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from calig.baselines import Baseline
from calig.blocks import BlockStack
from calig.inputs import EncodedInput
from calig.integration import gauss_legendre
from calig.metrics.perturbation import FloatArray
from calig.passes import Ends, pass_both_ends
from calig.targets import choose_targets, class_names

#: Gauss-Legendre points on every path: on short texts completeness is then missed by less than a hundredth of f(x) − f(x').
_POINTS = 48


def exact_rollout(stack: BlockStack, row: EncodedInput, baseline: Baseline, objective: str, points: int = _POINTS) -> FloatArray:
    """The map of one row toward its predicted class, `seq`; it sums to f(x) − f(x') but for what `points` miss."""

    def predicted(logits: Tensor) -> list[list[object]]:
        return choose_targets("predicted", logits, class_names(stack.model), [None], objective)

    ends, _, _ = pass_both_ends(stack, [row], baseline, predicted)
    slopes = _input_slopes(stack, ends, _mean_gradients(stack, ends, points), points)
    return slopes.sum(-1, dtype=torch.float64).cpu().numpy()


def _mean_gradients(stack: BlockStack, ends: Ends, points: int) -> list[Tensor]:
    """Ḡˡ of every layer, `seq hidden`."""
    alphas, weights = _rule(points, ends)
    entries = {layer: _path(ends, layer, alphas) for layer in range(len(ends.baseline_hidden))}
    rows = torch.zeros(points * len(entries), dtype=torch.long, device=alphas.device)
    f = ends.explained.of(rows)(stack.resume(entries, ends.at_input, rows))
    found = torch.autograd.grad(f.sum(), list(entries.values()))
    return [torch.einsum("n,nsd->sd", weights, gradient) for gradient in found]


def _input_slopes(stack: BlockStack, ends: Ends, gradients: list[Tensor], points: int) -> Tensor:
    """(h⁰ − h'⁰) ⊙ ∫ ∂F/∂h⁰ dα, `seq hidden`."""
    alphas, weights = _rule(points, ends)
    entering = _path(ends, 0, alphas)
    rows = torch.zeros(points, dtype=torch.long, device=alphas.device)
    hidden, total = entering, torch.zeros((), dtype=torch.float64, device=alphas.device)
    for call, gradient in zip(ends.at_input.calls, gradients, strict=True):
        total = total + (hidden * gradient).sum(dtype=torch.float64)
        hidden = call(hidden, rows, ends.at_input.batch)
    (slopes,) = torch.autograd.grad(total / len(gradients), entering)
    return torch.einsum("n,nsd->sd", weights, slopes) * _step(ends, 0)


def _path(ends: Ends, layer: int, alphas: Tensor) -> Tensor:
    """Points on the layer's path, `points seq hidden`."""
    points = ends.baseline_hidden[layer] + alphas.view(-1, 1, 1) * _step(ends, layer)
    return points.detach().requires_grad_()


def _step(ends: Ends, layer: int) -> Tensor:
    return (ends.at_input.hidden[layer].detach() - ends.baseline_hidden[layer])[0]


def _rule(points: int, ends: Ends) -> tuple[Tensor, Tensor]:
    given = ends.baseline_hidden[0]
    alphas, weights = (torch.tensor(values, dtype=given.dtype, device=given.device) for values in gauss_legendre(points))
    return alphas, weights
