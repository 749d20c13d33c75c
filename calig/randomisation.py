"""Does a map depend on what the model learned? Cascading randomisation (Adebayo et al. 2018, section 4.1).

A copy of the model loses its learned weights from the head down; a map should lose its order with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from calig.families import body, family_of
from calig.metrics.perturbation import FloatArray


def stage_names(model: Any) -> list[str]:
    """The stages of `cascade`, in order: head, last block … first block, embeddings. Blocks that share weights are one stage."""
    n_blocks = len(_blocks(model))
    return ["head", *(f"block {i}" for i in range(n_blocks, 0, -1)), "embeddings"]


def cascade(model: Any, *, seed: int) -> Iterator[tuple[str, Any]]:
    """Yield (stage, model) with the weights of this stage and of all before it randomised; always the same copy.

    Weights are drawn anew by the model's own initialiser. Permuting the learned ones would keep their scale, but leaves
    functions so rough that their integrals converge slowly or not at all. `model` itself is not touched.

    Args:
        model: a classifier of a known family.
        seed: of the new weights; the global random state is left as it was.
    """
    copy = deepcopy(model).requires_grad_(True)  # which weights are the head's is read from gradients
    for index, (name, weights) in enumerate(zip(stage_names(copy), _stages(copy), strict=True)):
        with torch.random.fork_rng(devices=[copy.device] if copy.device.type == "cuda" else []), torch.no_grad():
            torch.manual_seed(seed + index)
            _reinitialise(copy, weights)
        yield name, copy


def _stages(model: Any) -> list[list[nn.Parameter]]:
    """The weights of every stage; each weight is in exactly one."""
    blocks = [list(block.parameters()) for block in _blocks(model)]
    inside = {id(p) for weights in blocks for p in weights}
    outside = [p for p in model.parameters() if id(p) not in inside]
    head = _head(model, outside)
    heads = {id(p) for p in head}
    return [head, *reversed(blocks), [p for p in outside if id(p) not in heads]]


def _blocks(model: Any) -> list[nn.Module]:
    return list(dict.fromkeys(family_of(model).blocks(model)))


def _head(model: Any, weights: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """Those of `weights` that the logits depend on after the last block."""
    output = torch.ones(1, 1, body(model).config.hidden_size, dtype=model.dtype, device=model.device)
    with torch.enable_grad():
        logits = family_of(model).head(model, output)
        gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    return [weight for weight, gradient in zip(weights, gradients, strict=True) if gradient is not None]


def _reinitialise(model: Any, weights: Sequence[nn.Parameter]) -> None:
    """Fresh weights: matrices normal, biases zero, scales one, then whatever the model's own initialiser does differently."""
    names = {id(p): name for name, p in model.named_parameters()}
    spread = getattr(model.config, "initializer_range", None) or 0.02
    for weight in weights:
        vars(weight).pop("_is_hf_initialized", None)  # the mark of loaded weights, which the initialiser would spare
        if weight.dim() > 1:
            nn.init.normal_(weight, std=spread)
        else:
            nn.init.constant_(weight, 0.0 if names[id(weight)].endswith("bias") else 1.0)
    own = {id(p) for p in weights}
    for module in model.modules():
        held = {id(p) for p in module.parameters()}
        if held and held <= own:
            model._init_weights(module)


#: With fewer tokens an order says nothing: two are always fully correlated.
_FEWEST = 3


class Agreement(NamedTuple):
    """Spearman correlations of two maps: of the signed values, and of their sizes. Both should fall to about 0."""

    signed: float
    absolute: float


def agreement(original: FloatArray, randomised: FloatArray) -> Agreement:
    """How much of a map's order is left after randomisation, with its signs and without; lower is better. Both `content`.

    Without signs too: a randomised head may turn a map around and leave it otherwise as it was.
    """
    return Agreement(rank_correlation(original, randomised), rank_correlation(np.abs(original), np.abs(randomised)))


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's ρ, −1 … 1, equal values sharing their mean rank.

    NaN with fewer than three values or when one side is constant.
    """
    if a.size < _FEWEST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_mean_ranks(a), _mean_ranks(b))[0, 1])


def _mean_ranks(values: FloatArray) -> FloatArray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])
