"""Value-aware context, on trial: attention weighed by the norm of what it carries (Kobayashi et al. 2020, arXiv 2004.10102).

Decoders put much attention on a sink, their first token, whose value vectors are nearly zero: A alone says that much comes from
there, A_ij ‖v_j‖ that hardly anything does. The default's plain attention, three quarters of its context, is replaced by that:

    C = ¼ N(mean_heads max(0, A ⊙ ∂f/∂A)) + ¾ N(mean_heads A_ij ‖v_j‖)

All else is the default fusion.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from calig.attention import AttentionCall
from calig.metrics.perturbation import FloatArray
from calig.passes import ContextGradients, Ends
from calig.rollout import FUSION_RULES, PRESETS, evidence_of, normalise_rows

_CLASS_SPECIFIC = 0.25


def value_aware_context(attention: Tensor, gradient: Tensor, value: Tensor) -> Tensor:
    """C, `batch seq seq`, from A and ∂f/∂A, `batch heads seq seq`, and v, `batch heads seq dim`."""
    carried = (attention * value.norm(dim=-1).unsqueeze(-2)).mean(1)
    evidence = normalise_rows(evidence_of(attention, gradient))
    return _CLASS_SPECIFIC * evidence + (1.0 - _CLASS_SPECIFIC) * normalise_rows(carried)


def value_aware_rollout(layer_attributions: FloatArray, ends: Ends, context: ContextGradients) -> FloatArray | None:
    """The map of the first row, `seq`; None where a family computes attention by itself and its values are not seen.

    layer_attributions: sˡ, `layers seq`.
    """
    fusion = PRESETS["contrast"]
    relevance = torch.tensor(layer_attributions[None])
    for block in range(len(ends.at_input.calls), 0, -1):
        call = ends.at_input.attention[block - 1]
        if not isinstance(call, AttentionCall):
            return None
        mixing = value_aware_context(*call.matrices(context.output_gradients[0][block - 1]), call.value)
        change = (ends.at_input.hidden[block - 1].detach() - ends.baseline_hidden[block - 1]).norm(dim=-1)
        relevance = FUSION_RULES[fusion.rule](relevance, mixing, change.double(), fusion.coefficient, block)
    return np.asarray(relevance[0].mean(0).detach())
