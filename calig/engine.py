"""CA-LIG, top to bottom: trace, integrate every layer, fuse with attention context, roll out (METHOD.md, equations 1-4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calig.attention import context_and_attention
from calig.attribution import Attribution
from calig.baselines import Baseline
from calig.batching import equal_lengths, halving_on_out_of_memory
from calig.blocks import BlockStack, Trace
from calig.inputs import EncodedInput
from calig.integration import LayerIntegral, integrate_adaptively
from calig.rollout import attention_flow, carry_down, fuse
from calig.targets import class_names, selector, target_classes
from calig.words import merge_words

FORMULA_VERSION = "1"

#: Most entries of a `batch heads seq seq` tensor at once.
_MAX_CONTEXT_ENTRIES = 2**25


@dataclass(frozen=True, kw_only=True)
class Options:
    """The method's settings; see `calig.explain` for their meaning."""

    target: str = "predicted"
    fusion_coefficient: float = 0.1
    context_rule: str = "positive"
    tolerance: float = 0.01
    max_points: int = 129
    batch_tokens: int = 4096


@dataclass(frozen=True)
class _Pass:
    """The two ends of every path, for one group of rows of equal length (`rows` of them).

    f_input, f_baseline: target logits, `rows`; end_gradients: ∂f/∂hˡ at both ends, per layer (baseline, input),
    `rows seq hidden`; output_gradients: ∂f/∂o at the input, per block, `rows seq heads dim`; readout: how much of the
    logit is read at each position, `rows seq`, each row summing to one.
    """

    at_input: Trace
    at_baseline: Trace
    classes: list[int]
    weights: Tensor
    f_input: Tensor
    f_baseline: Tensor
    end_gradients: list[tuple[Tensor, Tensor]] = field(repr=False)
    output_gradients: list[Tensor] = field(repr=False)
    readout: Tensor = field(repr=False)


def attribute(
    stack: BlockStack,
    rows: Sequence[EncodedInput],
    labels: Sequence[str | None],
    baseline: Baseline,
    options: Options,
    progress: Callable[[int], None] | None = None,
) -> list[Attribution]:
    """Attribute encoded rows, in groups of equal length: no padding, so a row's values do not depend on its company.

    Args:
        stack: the model, inside `attributable(model)`.
        rows: encoded inputs.
        labels: gold class name per row or None, used by target "gold".
        baseline: what x' is.
        options: the method's settings.
        progress: called with the number of rows just finished.
    """
    done: dict[int, Attribution] = {}
    for group in equal_lengths([row.length for row in rows], options.batch_tokens):
        results = attribute_group(stack, [rows[i] for i in group], [labels[i] for i in group], baseline, options)
        done.update(zip(group, results, strict=True))
        if progress is not None:
            progress(len(group))
    return [done[i] for i in range(len(rows))]


def attribute_group(
    stack: BlockStack, rows: Sequence[EncodedInput], labels: Sequence[str | None], baseline: Baseline, options: Options
) -> list[Attribution]:
    """Attribute rows of one length."""
    ends = _pass_both_ends(stack, rows, labels, baseline, options)
    integrals = [_integrate_layer(stack, layer, ends, options) for layer in range(len(ends.end_gradients))]
    layer_attributions = torch.tensor(np.stack([i.attribution for i in integrals], axis=1))
    relevance, attention_rollout = _roll_out(layer_attributions, ends, options)
    return [
        _result(stack, row, index, ends, integrals, relevance[index], attention_rollout[index]) for index, row in enumerate(rows)
    ]


def _pass_both_ends(
    stack: BlockStack, rows: Sequence[EncodedInput], labels: Sequence[str | None], baseline: Baseline, options: Options
) -> _Pass:
    """Forward and backward at x and x'. The gradients at both ends are quadrature points of every layer at once."""
    inputs = _joined([row.inputs for row in rows], stack.model)
    at_input = stack.trace(inputs)
    at_baseline = stack.trace(_joined([baseline.apply(row) for row in rows], stack.model))
    stack.verify(at_input, inputs)
    classes = target_classes(options.target, at_input.logits.detach(), class_names(stack.model), labels)
    weights = selector(classes, at_input.logits.detach())
    f_input, f_baseline = ((trace.logits * weights).sum(-1) for trace in (at_input, at_baseline))
    n = len(at_input.hidden)
    attended = [call.output for call in at_input.attention]
    *gradients, output_gradient = torch.autograd.grad(f_input.sum(), [*at_input.hidden, *attended, at_input.output])
    read = output_gradient.norm(dim=-1)
    baseline_gradients = torch.autograd.grad(f_baseline.sum(), at_baseline.hidden)
    return _Pass(
        at_input,
        at_baseline,
        classes,
        weights,
        f_input.detach(),
        f_baseline.detach(),
        list(zip(baseline_gradients, gradients[:n], strict=True)),
        gradients[n:],
        read / read.sum(-1, keepdim=True).clamp(min=torch.finfo(read.dtype).tiny),
    )


def _integrate_layer(stack: BlockStack, layer: int, ends: _Pass, options: Options) -> LayerIntegral:
    """Equation 1: sˡ by nested quadrature along the straight path from h'ˡ to hˡ, for all rows of the group."""
    start = ends.at_baseline.hidden[layer].detach()
    step = ends.at_input.hidden[layer].detach() - start

    def along_path(alphas: np.ndarray, active: np.ndarray) -> np.ndarray:
        """(hˡ − h'ˡ) · ∂f/∂h at every α for the active rows: `alphas active seq`, summed over hidden in float64."""
        points = [(alpha, row) for alpha in alphas for row in active]
        size = max(1, options.batch_tokens // start.shape[1])
        values = halving_on_out_of_memory(lambda part: _slope(stack, layer, ends, start, step, part), points, size)
        return torch.cat(values).reshape(len(alphas), len(active), -1).cpu().numpy()

    at_ends = np.stack([_contract(step, gradient) for gradient in ends.end_gradients[layer]])
    difference = (ends.f_input - ends.f_baseline).double().cpu().numpy()
    return integrate_adaptively(along_path, at_ends, difference, tolerance=options.tolerance, max_points=options.max_points)


def _slope(
    stack: BlockStack, layer: int, ends: _Pass, start: Tensor, step: Tensor, points: Sequence[tuple[float, int]]
) -> Tensor:
    """Contribution of each position to ∂f/∂α at the given (α, row) points: `points seq`, float64."""
    rows = torch.tensor([row for _, row in points], device=start.device)
    alphas = torch.tensor([alpha for alpha, _ in points], dtype=start.dtype, device=start.device).view(-1, 1, 1)
    direction = step[rows]
    hidden = torch.addcmul(start[rows], alphas, direction).requires_grad_()
    logits = stack.resume(layer, hidden, ends.at_input, rows)
    (gradient,) = torch.autograd.grad((logits * ends.weights[rows]).sum(), hidden)
    return (direction * gradient).sum(-1, dtype=torch.float64)


def _roll_out(layer_attributions: Tensor, ends: _Pass, options: Options) -> tuple[Tensor, Tensor]:
    """Equations 2-4: rˡ of all layers, `rows layers seq`, and the attention rollout, `rows seq`; one block at a time."""
    relevance = layer_attributions.to(ends.f_input.device)
    flow = ends.readout.to(relevance.dtype)
    for block in range(len(ends.output_gradients), 0, -1):
        context, attention = _context(ends, block, options.context_rule)
        flow = attention_flow(flow, attention)
        if block < relevance.shape[1]:
            relevance = carry_down(relevance, fuse(context, options.fusion_coefficient), block)
    return relevance.cpu(), flow.cpu()


def _context(ends: _Pass, block: int, rule: str) -> tuple[Tensor, Tensor]:
    """C and mean attention of one block (1 … L), a few rows at a time so that `batch heads seq seq` stays small."""
    call, gradient = ends.at_input.attention[block - 1], ends.output_gradients[block - 1]
    heads, length = call.query.shape[1:3]
    size = max(1, _MAX_CONTEXT_ENTRIES // (heads * length * length))
    parts = [context_and_attention(call.rows(part), gradient[part], rule=rule) for part in _slices(len(gradient), size)]
    return torch.cat([c for c, _ in parts]), torch.cat([a for _, a in parts])


def _result(
    stack: BlockStack,
    row: EncodedInput,
    index: int,
    ends: _Pass,
    integrals: list[LayerIntegral],
    relevance: Tensor,
    attention_rollout: Tensor,
) -> Attribution:
    layers = relevance.numpy()
    values = layers.mean(0)
    names = class_names(stack.model)
    logits = ends.at_input.logits[index].detach().double().cpu().numpy()
    return Attribution(
        tokens=row.tokens,
        values=values,
        layers=layers,
        layer_attributions=np.stack([i.attribution[index] for i in integrals]),
        residuals=np.array([i.residual[index] for i in integrals]),
        n_points=[int(i.n_points[index]) for i in integrals],
        converged=all(bool(i.converged[index]) for i in integrals),
        words=[] if row.text is None else merge_words(row.text, values, row.starts, row.ends),
        target=names[ends.classes[index]],
        predicted=names[int(logits.argmax())],
        logits=logits,
        f_input=float(ends.f_input[index]),
        f_baseline=float(ends.f_baseline[index]),
        input_ids=row.input_ids,
        starts=row.starts,
        ends=row.ends,
        content=row.content,
        coverage=row.coverage,
        input_x_gradient=integrals[0].slope_at_input[index],
        attention_rollout=attention_rollout.numpy(),
    )


def _joined(inputs: Sequence[dict[str, Tensor]], model: Any) -> dict[str, Tensor]:
    """Single-row inputs as one batch on the model's device; floating-point ones in the model's precision."""
    joined = {name: torch.cat([row[name] for row in inputs]).to(model.device) for name in inputs[0]}
    return {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in joined.items()}


def _contract(step: Tensor, gradient: Tensor) -> np.ndarray:
    return (step * gradient).sum(-1, dtype=torch.float64).cpu().numpy()


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(i, min(i + size, n)) for i in range(0, n, size))
