"""From layer attributions and the pass at x to relevance at the input, under any number of fusions (deploy/docs/method.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calig.attention import BlockContext, block_context
from calig.batching import fetched
from calig.passes import ContextGradients, Ends
from calig.rollout import EXACT, FUSION_RULES, Fusion, attention_flow, evidence_flow, mixed_with_exact

Floats = NDArray[np.float64]

#: Most entries of a `batch heads seq seq` tensor at once.
_MAX_CONTEXT_ENTRIES = 2**25


@dataclass(frozen=True, eq=False)
class RolledOut:
    """relevance: rˡ, `… fusions layers seq`; attention_flow and evidence_flow: attention rollout and attention-gradient rollout,
    the controls that come along, `… seq`; … is `rows` for a group and nothing for one row."""

    relevance: Floats
    attention_flow: Floats
    evidence_flow: Floats

    def of_row(self, row: int) -> RolledOut:
        """One row of a group."""
        return RolledOut(self.relevance[row], self.attention_flow[row], self.evidence_flow[row])


def roll_out(
    layer_attributions: Tensor,
    ends: Ends,
    context: ContextGradients,
    target: int,
    fusions: Sequence[Fusion],
    exact: Tensor | None = None,
) -> RolledOut:
    """rˡ of all layers for each fusion, one block at a time: what a block's attention says is formed once for all of them.

    layer_attributions: sˡ, `rows layers seq`, float64; exact: the exact signed rollout, `rows seq`, if a fusion needs it.
    """
    relevance = [layer_attributions.to(ends.explained.weights.device)] * len(fusions)
    attention = evidence = context.read[target].to(relevance[0].dtype)
    rules = sorted({fusion.context_rule for fusion in fusions})
    for block in range(len(ends.at_input.calls), 0, -1):
        seen = _context(ends, context.output_gradients[target][block - 1], block, rules)
        attention, evidence = attention_flow(attention, seen.attention), evidence_flow(evidence, seen.evidence)
        change = _change(ends, block).to(relevance[0].dtype)
        relevance = [
            FUSION_RULES[fusion.rule](r, seen.contexts[fusion.context_rule], change, fusion.coefficient, block)
            for fusion, r in zip(fusions, relevance, strict=True)
        ]
    if exact is not None:
        e = exact.to(relevance[0])
        pairs = zip(fusions, relevance, strict=True)
        relevance = [mixed_with_exact(r, e, fusion.coefficient) if fusion.rule == EXACT else r for fusion, r in pairs]
    return RolledOut(*fetched(torch.stack(relevance, 1), attention, evidence))


def _change(ends: Ends, block: int) -> Tensor:
    """‖h − h'‖ at the block's input, `rows seq`."""
    change: Tensor = (ends.at_input.hidden[block - 1].detach() - ends.baseline_hidden[block - 1]).norm(dim=-1)
    return change


def _context(ends: Ends, gradient: Tensor, block: int, rules: Sequence[str]) -> BlockContext:
    """What the attention of one block (1 … L) says, a few rows at a time so that `batch heads seq seq` stays small."""
    call = ends.at_input.attention[block - 1]
    heads, length = call.heads, call.output.shape[1]
    size = max(1, _MAX_CONTEXT_ENTRIES // (heads * length * length))
    parts = [block_context(call.rows(part), gradient[part], rules) for part in _slices(len(gradient), size)]
    contexts = {rule: torch.cat([part.contexts[rule] for part in parts]) for rule in rules}
    attention, evidence = (torch.cat([getattr(part, name) for part in parts]) for name in ("attention", "evidence"))
    return BlockContext(contexts, attention, evidence)


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(i, min(i + size, n)) for i in range(0, n, size))
