"""CA-LIG, top to bottom: trace, integrate every layer, fuse with attention context, roll out (METHOD.md, equations 1-4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calig.attention import BlockContext, block_context
from calig.attribution import Attribution
from calig.baselines import Baseline
from calig.batching import equal_lengths, halving_on_out_of_memory
from calig.blocks import BlockStack
from calig.inputs import EncodedInput
from calig.integration import PathIntegral, integrate_adaptively, integrate_with
from calig.passes import ContextGradients, Ends, pass_both_ends
from calig.paths import Paths
from calig.rollout import FUSION_RULES, attention_flow, evidence_flow
from calig.targets import Target, choose_targets, class_names, problem_type
from calig.words import merge_words

Floats = NDArray[np.float64]

FORMULA_VERSION = "2"

#: Most entries of a `batch heads seq seq` tensor at once.
_MAX_CONTEXT_ENTRIES = 2**25


@dataclass(frozen=True, kw_only=True)
class Options:
    """The method's settings; see `calig.explain` for their meaning."""

    target: str = "predicted"
    fusion_rule: str = "rollout"
    fusion_coefficient: float = 0.1
    context_rule: str = "positive"
    tolerance: float = 0.01
    max_points: int = 129
    n_points: int | None = None
    reduced: bool = False
    batch_tokens: int = 1024


def attribute(
    stack: BlockStack,
    rows: Sequence[EncodedInput],
    labels: Sequence[str | None],
    baseline: Baseline,
    options: Options,
    progress: Callable[[int], None] | None = None,
    targets: Sequence[list[Target]] | None = None,
) -> list[list[Attribution]]:
    """Attribute encoded rows, in groups of equal length: no padding, so a row's values do not depend on its company.

    Args:
        stack: the model, inside `attributable(model)`.
        rows: encoded inputs.
        labels: gold class name per row or None, used by target "gold".
        baseline: what x' is.
        options: the method's settings.
        progress: called with the number of rows just finished.
        targets: per row what is explained, when that does not follow from the row itself; then `labels` play no part.

    Returns:
        For each row one attribution per target: one, but for target "each".
    """
    done: dict[int, list[Attribution]] = {}

    def finish(group: Sequence[int]) -> None:
        wanted = [targets[i] for i in group] if targets else None
        results = attribute_group(stack, [rows[i] for i in group], [labels[i] for i in group], baseline, options, wanted)
        done.update(zip(group, results, strict=True))
        if progress is not None:
            progress(len(group))

    for group in equal_lengths([row.length for row in rows], options.batch_tokens):
        halving_on_out_of_memory(finish, group, len(group))
    return [done[i] for i in range(len(rows))]


def attribute_group(
    stack: BlockStack,
    rows: Sequence[EncodedInput],
    labels: Sequence[str | None],
    baseline: Baseline,
    options: Options,
    wanted: list[list[Target]] | None = None,
) -> list[list[Attribution]]:
    """Attribute rows of one length; arguments as above."""

    def choose(logits: Tensor) -> list[list[Target]]:
        return wanted or choose_targets(options.target, logits, class_names(stack.model), labels)

    with stack.products():
        ends, targets, context = pass_both_ends(stack, rows, baseline, choose)
    integrals = _integrate(Paths(stack, ends, batch_tokens=options.batch_tokens), options)
    by_row = [integrals[row :: len(rows)] for row in range(len(rows))]
    results: list[list[Attribution]] = [[] for _ in rows]
    for k in range(len(targets[0])):
        layer_attributions = np.array([[integral.attribution[k] for integral in layers] for layers in by_row])
        relevance, flows = _roll_out(torch.tensor(layer_attributions), ends, context, k, options)
        for i, row in enumerate(rows):
            results[i].append(_result(stack, row, ends, (i, k), targets[i][k], by_row[i], relevance[i], flows[:, i]))
    return results


def _integrate(paths: Paths, options: Options) -> list[PathIntegral]:
    """Equation 1: sˡ of every path. What did not converge with reduced products is integrated again with whole ones."""
    known = paths.ends()
    if options.n_points is not None:
        return integrate_with(options.n_points, paths.evaluate, known, tolerance=options.tolerance)
    limits: dict[str, Any] = {"tolerance": options.tolerance, "max_points": options.max_points}
    if not options.reduced:
        return integrate_adaptively(paths.evaluate, known, **limits)
    results = integrate_adaptively(partial(paths.evaluate, reduced=True), known, **limits)
    again = [i for i, result in enumerate(results) if not result.converged]
    renumbered = lambda points: paths.evaluate([(again[path], alpha) for path, alpha in points])  # noqa: E731
    for i, result in zip(again, integrate_adaptively(renumbered, [known[i] for i in again], **limits), strict=True):
        results[i] = result
    return results


def _roll_out(
    layer_attributions: Tensor, ends: Ends, context: ContextGradients, target: int, options: Options
) -> tuple[Floats, Floats]:
    """Equations 2-4: rˡ of all layers, `rows layers seq`; one block at a time.

    On the way the controls: attention rollout and attention-gradient rollout, `2 rows seq`.
    """
    relevance = layer_attributions.to(ends.weights.device)
    flow = evidence = context.read[target].to(relevance.dtype)
    for block in range(len(ends.at_input.calls), 0, -1):
        seen = _context(ends, context.output_gradients[target][block - 1], block, options.context_rule)
        flow, evidence = attention_flow(flow, seen.attention), evidence_flow(evidence, seen.evidence)
        relevance = FUSION_RULES[options.fusion_rule](relevance, seen.context, options.fusion_coefficient, block)
    return relevance.cpu().numpy(), torch.stack([flow, evidence]).cpu().numpy()


def _context(ends: Ends, gradient: Tensor, block: int, rule: str) -> BlockContext:
    """What the attention of one block (1 … L) says, a few rows at a time so that `batch heads seq seq` stays small."""
    call = ends.at_input.attention[block - 1]
    heads, length = call.query.shape[1:3]
    size = max(1, _MAX_CONTEXT_ENTRIES // (heads * length * length))
    parts = [block_context(call.rows(part), gradient[part], rule=rule) for part in _slices(len(gradient), size)]
    return BlockContext(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def _result(
    stack: BlockStack,
    row: EncodedInput,
    ends: Ends,
    index: tuple[int, int],
    target: Target,
    integrals: Sequence[PathIntegral],
    relevance: Floats,
    flows: Floats,
) -> Attribution:
    """The attribution of row and target `index`."""
    i, k = index
    values = relevance.mean(0)
    logits = ends.at_input.logits[i].detach().double().cpu().numpy()
    f_baseline, f_input = (float(f[i, k]) for f in ends.f)
    step = ends.at_input.hidden[0][i].detach() - ends.baseline_hidden[0][i]
    return Attribution(
        tokens=row.tokens,
        values=values,
        layers=relevance,
        layer_attributions=np.stack([integral.attribution[k] for integral in integrals]),
        residuals=np.array([integral.residual for integral in integrals]),
        n_points=[integral.n_points for integral in integrals],
        converged=all(integral.converged for integral in integrals),
        words=[] if row.text is None else merge_words(row.text, values, row.starts, row.ends),
        target=target.name,
        predicted=class_names(stack.model)[int(logits.argmax())],
        problem_type=problem_type(stack.model),
        logits=logits,
        f_input=f_input,
        f_baseline=f_baseline,
        input_ids=row.input_ids,
        starts=row.starts,
        ends=row.ends,
        content=row.content,
        coverage=row.coverage,
        input_x_gradient=(step * ends.gradients[1][0][k, i]).sum(-1, dtype=torch.float64).cpu().numpy(),
        attention_rollout=flows[0],
        attention_gradient_rollout=flows[1],
    )


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(i, min(i + size, n)) for i in range(0, n, size))
