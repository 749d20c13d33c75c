"""Attention seen from outside: what every block's attention received and gave, under any kernel, and what follows from it.

The gradient of the logit with respect to an attention weight needs no attention matrix in the autograd graph: with
o = A v, ∂f/∂A_ij = ⟨∂f/∂o_i, v_j⟩ (deploy/docs/method.md, equation 2). Families whose attention does not go through
transformers' registry (DeBERTa's adds terms for relative positions) are watched at their own modules: A is formed again,
block by block, by the module's own code, and ∂f/∂A follows from ∂f/∂o through what that code does with A.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from calig.errors import VerificationError
from calig.rollout import CONTEXT_RULES, evidence_of

_IMPLEMENTATION = "calig_capture"

#: What some families add to the scores or to the softmax through the registry; A and ∂f/∂A here know nothing of it.
_UNKNOWN_TERMS = ("position_bias", "s_aux")


@dataclass(frozen=True)
class AttentionCall:
    """What one block's attention received and gave.

    query, key, value: `batch heads seq dim` (keys and values already repeated for grouped-query attention);
    output: `batch seq heads dim`, part of the autograd graph; mask: additive or boolean, broadcastable to
    `batch heads seq seq`, or None; softcap: scores are softcap · tanh(score / softcap) before the mask (Gemma 2).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    mask: Tensor | None
    scaling: float
    causal: bool
    softcap: float | None = None

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.query.shape[1]

    def rows(self, part: slice) -> AttentionCall:
        """The call of some rows of the batch."""
        mask = self.mask[part] if self.mask is not None and self.mask.shape[0] == self.query.shape[0] else self.mask
        return replace(
            self, query=self.query[part], key=self.key[part], value=self.value[part], output=self.output[part], mask=mask
        )

    def matrices(self, output_gradient: Tensor) -> tuple[Tensor, Tensor]:
        """A and ∂f/∂A, `batch heads seq seq` each, from ∂f/∂o, which has the shape of `output`."""
        return attention_weights(self), output_gradient.transpose(1, 2) @ self.value.transpose(-1, -2)

    def formed_again(self) -> tuple[Tensor, Tensor]:
        """A, `batch heads seq seq`, and the output that follows from it, in the shape of `output`: to be compared with it."""
        attention = attention_weights(self)
        return attention, (attention @ self.value).transpose(1, 2)


@dataclass(frozen=True)
class WatchedCall:
    """One call of a module that computes attention by itself.

    module: that module; weights_to: the module inside it that is given A (its dropout, which does nothing in evaluation);
    args, kwargs: what `module` was called with, out of the autograd graph; shared: names of those that belong to no row;
    output: what it gave, `batch seq …`, part of the autograd graph.
    """

    module: nn.Module
    weights_to: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shared: frozenset[str]
    output: Tensor

    @property
    def heads(self) -> int:
        """Attention heads."""
        heads: Any = self.module.num_attention_heads
        return int(heads)

    def rows(self, part: slice) -> WatchedCall:
        """The call of some rows of the batch."""
        batch = len(self.output)
        rows = torch.arange(batch, device=self.output.device)[part]
        args, kwargs = select_arguments(self.args, self.kwargs, rows, batch, self.shared)
        return replace(self, args=args, kwargs=kwargs, output=self.output[part])

    def matrices(self, output_gradient: Tensor) -> tuple[Tensor, Tensor]:
        """A and ∂f/∂A, `batch heads seq seq` each, from ∂f/∂o, which has the shape of `output`."""
        attention, output = self._replayed()
        (gradient,) = torch.autograd.grad(output, attention, output_gradient)
        return attention.detach(), gradient

    def formed_again(self) -> tuple[Tensor, Tensor]:
        """A, `batch heads seq seq`, and the output that follows from it, in the shape of `output`: to be compared with it."""
        attention, output = self._replayed()
        return attention.detach(), output.detach()

    def _replayed(self) -> tuple[Tensor, Tensor]:
        """A as a leaf, and the output as a function of it."""
        leaves: list[Tensor] = []

        def as_leaf(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            leaves.append(args[0].detach().requires_grad_())
            return (leaves[-1], *args[1:])

        hook = self.weights_to.register_forward_pre_hook(as_leaf)
        try:
            with torch.enable_grad():
                # Not called, so that the hooks that watch the module do not see it.
                output = first_tensor(self.module.forward(*self.args, **self.kwargs))
        finally:
            hook.remove()
        return leaves[0], output


#: What was observed of one block's attention.
Observed = AttentionCall | WatchedCall

_record: ContextVar[list[Observed] | None] = ContextVar("attention_record", default=None)
_read_out: ContextVar[ReadOut | None] = ContextVar("read_out", default=None)


@dataclass
class ReadOut:
    """The one position whose output is wanted (0 or −1), and whether attention has already been reduced to it."""

    position: int
    attended: bool = False


@dataclass(frozen=True)
class Watched:
    """A module that computes attention by itself; fields as in `WatchedCall`."""

    module: nn.Module
    weights_to: nn.Module
    shared: frozenset[str]

    def note(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Record a call of the module; a forward hook."""
        read_out, calls = _read_out.get(), _record.get()
        if read_out is not None:  # computed for all positions, but what follows needs the read-out position alone
            read_out.attended = True
        if calls is not None:
            given = (detached(args), {name: detached(value) for name, value in kwargs.items()})
            calls.append(WatchedCall(self.module, self.weights_to, *given, self.shared, first_tensor(output)))


@contextmanager
def observable_attention(model: nn.Module, watched: Sequence[Watched] | None) -> Iterator[None]:
    """Inside, this model's attention can be recorded; undone at exit.

    watched: the modules that compute attention by themselves; None: it is routed through the scaled-dot-product kernel.
    """
    if watched is None:
        with attention_implementation(model, _IMPLEMENTATION):
            yield
        return
    hooks = [each.module.register_forward_hook(each.note, with_kwargs=True) for each in watched]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def attention_implementation(model: nn.Module, name: str) -> Iterator[None]:
    """Inside, the model computes attention by the implementation `name` of transformers' registry, unless it does so already."""
    config: Any = model.config
    before = config._attn_implementation
    if before == name:
        yield
        return
    try:
        model.set_attn_implementation(name)  # type: ignore[operator]
        yield
    finally:
        model.set_attn_implementation(before)  # type: ignore[operator]


@contextmanager
def recorded_attention() -> Iterator[list[Observed]]:
    """Collect the attention calls of the forward passes inside, in order."""
    calls: list[Observed] = []
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
    if call.softcap is not None:
        scores = (scores / call.softcap).tanh() * call.softcap
    if call.mask is not None:
        mask = call.mask[..., : scores.shape[-1]]
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    elif call.causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, float("-inf"))
    return scores.softmax(-1).nan_to_num(0.0)


def first_tensor(output: Any) -> Tensor:
    """What a block or its attention computed, whether it is returned alone or first of several."""
    tensor: Tensor = output[0] if isinstance(output, tuple) else output
    return tensor


def detached(value: Any) -> Any:
    """A tensor out of the autograd graph, also inside tuples; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(detached(v) for v in value)
    return value.detach() if isinstance(value, Tensor) else value


def select_arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], rows: Tensor, batch: int, shared: Collection[str]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call for some rows of the batch; `shared`: names of those that belong to no row."""
    kept = {name: value if name in shared else _select(value, rows, batch) for name, value in kwargs.items()}
    return tuple(_select(value, rows, batch) for value in args), kept


def _select(value: Any, rows: Tensor, batch: int) -> Any:
    """Rows of a batched tensor; a tensor of one dimension (positions shared by all rows) and anything else stays as it is."""
    if isinstance(value, tuple):
        return tuple(_select(v, rows, batch) for v in value)
    if isinstance(value, Tensor) and value.dim() > 1 and value.shape[0] == batch:
        return value.index_select(0, rows)
    return value


class BlockContext(NamedTuple):
    """What one block's attention says, each matrix `batch seq seq`.

    contexts: C by context rule, rows sum to one; attention: A, mean over heads, rows sum to one; evidence: max(0, A ⊙ ∂f/∂A),
    mean over heads.
    """

    contexts: dict[str, Tensor]
    attention: Tensor
    evidence: Tensor


def block_context(call: Observed, output_gradient: Tensor, rules: Collection[str]) -> BlockContext:
    """The context matrices of one block, and what the controls need.

    Args:
        call: what the block's attention received and gave.
        output_gradient: ∂f/∂o, in the shape of the call's output.
        rules: keys of `CONTEXT_RULES`.
    """
    attention, gradient = call.matrices(output_gradient)
    contexts = {rule: CONTEXT_RULES[rule](attention, gradient) for rule in rules}
    return BlockContext(contexts, attention.mean(1), evidence_of(attention, gradient))


def _capturing_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    unknown = [name for name in _UNKNOWN_TERMS if kwargs.get(name) is not None]
    if unknown:
        raise VerificationError(
            f"attention has terms that this adapter does not know\ngot: {', '.join(unknown)} in {type(module).__name__}"
        )
    read_out = _read_out.get()
    if read_out is not None:
        return _attention_of_one(read_out, module, query, key, value, attention_mask, **kwargs), None
    output = _attend(module, query, key, value, attention_mask, **kwargs)
    calls = _record.get()
    if calls is not None:
        given = (query.detach(), key.detach(), value.detach())
        calls.append(_call_of(module, *given, attention_mask, output, kwargs))
    return output, None


def _attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: Any) -> Tensor:
    """Attention's output, `batch seq heads dim`; with capped scores, which no fused kernel has, by the formula."""
    if kwargs.get("softcap") is None:
        output, _ = sdpa_attention_forward(module, query, key, value, mask, **kwargs)
        return output
    call = _call_of(module, query, key, value, mask, query, kwargs)
    return (attention_weights(call) @ call.value).transpose(1, 2)


def _call_of(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, output: Tensor, options: Mapping[str, Any]
) -> AttentionCall:
    groups = getattr(module, "num_key_value_groups", 1)
    return AttentionCall(
        query=query,
        key=repeat_kv(key, groups),
        value=repeat_kv(value, groups),
        output=output,
        mask=mask,
        scaling=_scaling(options.get("scaling"), query),
        causal=_is_causal(module, options.get("is_causal")),
        softcap=options.get("softcap"),
    )


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
    output = _attend(module, query[:, :, here], key, value, mask, **(kwargs | {"is_causal": False}))
    read_out.attended = True
    return output.expand(-1, length, -1, -1)


def _scaling(given: float | None, query: Tensor) -> float:
    return float(query.shape[-1] ** -0.5 if given is None else given)


def _is_causal(module: nn.Module, given: bool | None) -> bool:
    return bool(getattr(module, "is_causal", True) if given is None else given)


# Adding a name to these two tables changes no model: only a model that asks for the name is affected.
AttentionInterface.register(_IMPLEMENTATION, _capturing_attention)
AttentionMaskInterface.register(_IMPLEMENTATION, sdpa_mask)
