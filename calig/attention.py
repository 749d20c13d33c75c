"""Attention seen from outside: q, k, v and the output of every block, under any kernel, and what follows from them.

The gradient of the logit with respect to an attention weight needs no attention matrix in the autograd graph: with
o = A v, ∂f/∂A_ij = ⟨∂f/∂o_i, v_j⟩ (deploy/docs/method.md, equation 2).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from calig.rollout import CONTEXT_RULES, evidence_of

_IMPLEMENTATION = "calig_capture"


@dataclass(frozen=True)
class AttentionCall:
    """What one block's attention received and gave.

    query, key, value: `batch heads seq dim` (keys and values already repeated for grouped-query attention);
    output: `batch seq heads dim`, part of the autograd graph; mask: additive or boolean, broadcastable to
    `batch heads seq seq`, or None.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    mask: Tensor | None
    scaling: float
    causal: bool

    def rows(self, part: slice) -> AttentionCall:
        """The call of some rows of the batch."""
        mask = self.mask[part] if self.mask is not None and self.mask.shape[0] == self.query.shape[0] else self.mask
        return replace(
            self, query=self.query[part], key=self.key[part], value=self.value[part], output=self.output[part], mask=mask
        )


_record: ContextVar[list[AttentionCall] | None] = ContextVar("attention_record", default=None)
_read_out: ContextVar[ReadOut | None] = ContextVar("read_out", default=None)


@dataclass
class ReadOut:
    """The one position whose output is wanted (0 or −1), and whether attention has already been reduced to it."""

    position: int
    attended: bool = False


def observable_attention(model: nn.Module) -> AbstractContextManager[None]:
    """Route this model's attention through the scaled-dot-product kernel in a way that can be recorded; undone at exit."""
    return attention_implementation(model, _IMPLEMENTATION)


@contextmanager
def attention_implementation(model: nn.Module, name: str) -> Iterator[None]:
    """Inside, the model computes attention by the implementation `name` of transformers' registry."""
    config: Any = model.config
    before = config._attn_implementation
    try:
        model.set_attn_implementation(name)  # type: ignore[operator]
        yield
    finally:
        model.set_attn_implementation(before)  # type: ignore[operator]


@contextmanager
def recorded_attention() -> Iterator[list[AttentionCall]]:
    """Collect the attention calls of the forward passes inside, in order."""
    calls: list[AttentionCall] = []
    token = _record.set(calls)
    try:
        yield calls
    finally:
        _record.reset(token)


@contextmanager
def attention_at(read_out: ReadOut) -> Iterator[None]:
    """Inside, attention is computed for one position's query only; every position is given that position's output."""
    token = _read_out.set(read_out)
    try:
        yield
    finally:
        _read_out.reset(token)


def attention_weights(call: AttentionCall) -> Tensor:
    """A = softmax(q kᵀ · scaling + mask), `batch heads seq seq`; rows sum to one."""
    scores = call.query @ call.key.transpose(-1, -2) * call.scaling
    if call.mask is not None:
        mask = call.mask[..., : scores.shape[-1]]
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    elif call.causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    return scores.softmax(-1).nan_to_num(0.0)


class BlockContext(NamedTuple):
    """What one block's attention says, each matrix `batch seq seq`.

    contexts: C by context rule, rows sum to one; attention: A, mean over heads, rows sum to one; evidence: max(0, A ⊙ ∂f/∂A),
    mean over heads.
    """

    contexts: dict[str, Tensor]
    attention: Tensor
    evidence: Tensor


def block_context(call: AttentionCall, output_gradient: Tensor, rules: Collection[str]) -> BlockContext:
    """The context matrices of one block, and what the controls need.

    Args:
        call: what the block's attention received and gave.
        output_gradient: ∂f/∂o, `batch seq heads dim`.
        rules: keys of `CONTEXT_RULES`.
    """
    attention = attention_weights(call)
    gradient = output_gradient.transpose(1, 2) @ call.value.transpose(-1, -2)
    contexts = {rule: CONTEXT_RULES[rule](attention, gradient) for rule in rules}
    return BlockContext(contexts, attention.mean(1), evidence_of(attention, gradient))


def _capturing_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    read_out = _read_out.get()
    if read_out is not None:
        return _attention_of_one(read_out, module, query, key, value, attention_mask, **kwargs), None
    output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    calls = _record.get()
    if calls is not None:
        groups = getattr(module, "num_key_value_groups", 1)
        calls.append(
            AttentionCall(
                query=query.detach(),
                key=repeat_kv(key, groups).detach(),
                value=repeat_kv(value, groups).detach(),
                output=output,
                mask=attention_mask,
                scaling=_scaling(kwargs.get("scaling"), query),
                causal=_is_causal(module, kwargs.get("is_causal")),
            )
        )
    return output, None


def _attention_of_one(
    read_out: ReadOut, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: Any
) -> Tensor:
    """Output of the read-out position, repeated for all others so that the block finds the shape it expects.

    The first position of bidirectional and the last of causal attention may look everywhere, so no causal mask is needed.
    """
    length = query.shape[2]
    here = slice(0, 1) if read_out.position == 0 else slice(length - 1, length)
    if mask is not None and mask.shape[-2] == length:
        mask = mask[..., here, :]
    output, _ = sdpa_attention_forward(module, query[:, :, here], key, value, mask, **(kwargs | {"is_causal": False}))
    read_out.attended = True
    return output.expand(-1, length, -1, -1)


def _scaling(given: float | None, query: Tensor) -> float:
    return float(query.shape[-1] ** -0.5 if given is None else given)


def _is_causal(module: nn.Module, given: bool | None) -> bool:
    return bool(getattr(module, "is_causal", True) if given is None else given)


# Adding a name to these two tables changes no model: only a model that asks for the name is affected.
AttentionInterface.register(_IMPLEMENTATION, _capturing_attention)
AttentionMaskInterface.register(_IMPLEMENTATION, sdpa_mask)
