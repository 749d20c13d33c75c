"""The last block, computed for the one position that the head reads: keys and values for all, everything else for one.

Nothing here knows a family. Linear layers that run after attention get the read-out position's row alone; residual sums
broadcast it, so that rows of other positions hold numbers that mean nothing and that the head never reads. Where the logit's
gradient at the last block's output is not confined to one position, the block is computed whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from calig.attention import ReadOut, attention_at


def read_out_position(output_gradient: Tensor) -> int | None:
    """0 or −1 when the logit of every row depends on this position of the last block's output alone, else None.

    Args:
        output_gradient: ∂f/∂(last block's output), `rows seq hidden`.
    """
    read = (output_gradient != 0).any(-1)
    only_one = (read.sum(-1) <= 1).all()
    alone = torch.stack([only_one & read[:, p].all() for p in (0, -1)]).tolist()
    return next((p for p, is_alone in zip((0, -1), alone, strict=True) if is_alone), None)


@contextmanager
def only_for(position: int | None, block: nn.Module) -> Iterator[None]:
    """Inside, `block` computes its output at `position` only; None: everywhere, as always."""
    if position is None:
        yield
        return
    read_out = ReadOut(position)

    def narrow(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        x = args[0]
        return (x[:, position : position + 1 or None], *args[1:]) if read_out.attended and x.dim() == 3 else None

    hooks = [m.register_forward_pre_hook(narrow) for m in block.modules() if isinstance(m, nn.Linear | Conv1D)]
    try:
        with attention_at(read_out):
            yield
    finally:
        for hook in hooks:
            hook.remove()
