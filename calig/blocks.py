"""A model as a stack of blocks: watch one forward pass, then resume it from the input of any block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from calig.attention import AttentionCall, observable_attention, recorded_attention
from calig.errors import VerificationError
from calig.families import Family, family_of

#: Largest relative difference between resumed and ordinary logits that rounding can explain, per dtype.
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 5e-2}


@dataclass(frozen=True)
class BlockCall:
    """What a block was called with besides its hidden states (masks, positions, …)."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def for_rows(self, rows: Tensor, batch: int) -> BlockCall:
        """The same call for `rows` of the batch, repeated or left out as `rows` says."""
        return BlockCall(
            tuple(_select(a, rows, batch) for a in self.args), {k: _select(v, rows, batch) for k, v in self.kwargs.items()}
        )


@dataclass(frozen=True)
class Trace:
    """One forward pass, watched.

    hidden: the input of every block (hˡ, l = 0 … L−1), `batch seq hidden` each, in one autograd graph rooted at h⁰;
    logits: `batch classes`; calls: what the blocks were called with; attention: what their attention received and gave.
    """

    hidden: list[Tensor]
    logits: Tensor
    calls: list[BlockCall]
    attention: list[AttentionCall]

    @property
    def batch(self) -> int:
        """Rows in the pass."""
        return self.logits.shape[0]


class BlockStack:
    """The blocks 1 … L of a supported classifier and its head.

    Use inside `with attributable(model) as stack`, which holds the model in evaluation mode, its weights out of the
    autograd graph and its attention observable, and puts all of that back at the end.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.family: Family = family_of(model)
        self.blocks: nn.ModuleList = model.get_submodule(self.family.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def trace(self, inputs: Mapping[str, Tensor]) -> Trace:
        """Run the whole model on `inputs` (its own keyword arguments) and keep what attribution needs."""
        hidden: list[Tensor] = []
        calls: list[BlockCall] = []

        def before_block(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            h, rest = (args[0], args[1:]) if args else (kwargs["hidden_states"], ())
            if not hidden:
                h = h.detach().requires_grad_()
            hidden.append(h)
            calls.append(BlockCall(rest, {k: v for k, v in kwargs.items() if k != "hidden_states"}))
            return (h, *rest), dict(calls[-1].kwargs)

        hooks = [b.register_forward_pre_hook(before_block, with_kwargs=True) for b in self.blocks]
        try:
            with recorded_attention() as attention:
                logits = self.model(**inputs).logits
        finally:
            for hook in hooks:
                hook.remove()
        return Trace(hidden, logits, calls, attention)

    def resume(self, layer: int, hidden: Tensor, trace: Trace, rows: Tensor) -> Tensor:
        """Logits computed by the blocks `layer` + 1 … L and the head from `hidden` (`points seq hidden`).

        `rows` says which row of `trace` each point belongs to; blocks 1 … `layer` are not run.
        """
        for block, call in zip(self.blocks[layer:], trace.calls[layer:], strict=True):
            selected = call.for_rows(rows, trace.batch)
            hidden = block(hidden, *selected.args, **selected.kwargs)
        return self.family.head(self.model, hidden)

    def verify(self, trace: Trace) -> None:
        """Check that resuming from every layer gives the model's own logits, and that every block's attention was seen."""
        if len(trace.hidden) != len(self) or len(trace.attention) != len(self):
            raise VerificationError(
                f"{self.family.model_type}: {len(self)} blocks, but {len(trace.hidden)} block and "
                f"{len(trace.attention)} attention calls were seen\nnext: check the family's row in calig/families.py"
            )
        rows = torch.zeros(1, dtype=torch.long, device=trace.logits.device)
        expected = trace.logits[:1].detach()
        tolerance = _TOLERANCE[expected.dtype] * float(expected.abs().max().clamp(min=1.0))
        for layer in (0, len(self) - 1):
            with torch.no_grad():
                resumed = self.resume(layer, trace.hidden[layer][:1].detach(), trace, rows)
            difference = float((resumed - expected).abs().max())
            if not difference <= tolerance:
                raise VerificationError(
                    f"{self.family.model_type}: resuming from layer {layer} changes the logits by {difference:.3g}"
                    f"\nallowed: {tolerance:.3g}\nnext: check the head in the family's row in calig/families.py"
                )


@contextmanager
def attributable(model: Any) -> Iterator[BlockStack]:
    """The model as a `BlockStack`; evaluation mode, frozen weights and observable attention until the end of the block."""
    stack = BlockStack(model)
    training = model.training
    trainable = [p for p in model.parameters() if p.requires_grad]
    try:
        model.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        with observable_attention(model):
            yield stack
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        model.train(training)


def _select(value: Any, rows: Tensor, batch: int) -> Any:
    """Rows of a batched tensor; a tensor of one dimension (positions shared by all rows) and anything else stays as it is."""
    if isinstance(value, tuple):
        return tuple(_select(v, rows, batch) for v in value)
    if isinstance(value, Tensor) and value.dim() > 1 and value.shape[0] == batch:
        return value.index_select(0, rows)
    return value
