"""Exact signed rollout: the layers' gradients carried to the input by the model itself instead of by attention.

With Ḡˡ = ∫ ∂f/∂hˡ dα along the path of layer l, whose product with hˡ − h'ˡ is that layer's integrated gradients sˡ, the map is

    e = integrated gradients of F from x' to x,      F = (1/L) Σ_l ⟨Ḡˡ, hˡ − h'ˡ⟩

It is signed, class-specific and complete: F goes from 0 to (1/L) Σ_l Σ sˡ = f(x) − f(x'). One further path, that of the input,
serves all layers. Equations: deploy/docs/method.md, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calig.batching import fetched, halving_on_out_of_memory
from calig.blocks import BlockStack
from calig.integration import PathValues, Points
from calig.passes import Ends, contract, gradients

Floats = NDArray[np.float64]


class InputPaths:
    """F on the paths of h⁰ from x' to x, one a row, for `calig.integration`.

    mean_gradients: Ḡˡ of every layer, `targets rows seq hidden`.
    """

    def __init__(self, stack: BlockStack, ends: Ends, mean_gradients: Sequence[Tensor], *, batch_tokens: int) -> None:
        self._stack, self._ends = stack, ends
        self._mean_gradients = [gradient / len(mean_gradients) for gradient in mean_gradients]
        self._start = ends.baseline_hidden[0]
        self._step = ends.at_input.hidden[0].detach() - self._start
        self._rows, self._seq = self._step.shape[:2]
        self._batch = max(1, batch_tokens // self._seq)

    def ends(self) -> list[PathValues]:
        """F and its slopes at x' and x of every row."""
        f, slopes = self.evaluate([(row, alpha) for row in range(self._rows) for alpha in (0.0, 1.0)])
        return [PathValues.at_ends(f[first : first + 2], slopes[first : first + 2]) for first in range(0, len(f), 2)]

    def evaluate(self, points: Points, *, reduced: bool = False) -> tuple[Floats, Floats]:
        """F and (h⁰ − h'⁰) · ∂F/∂h⁰ at points (row, α): `points targets` and `points targets seq`, float64."""
        with self._stack.products(reduced=reduced):
            parts = halving_on_out_of_memory(self._pass, points, self._batch)
        f, slopes = fetched(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
        return f, slopes

    def _pass(self, points: Points) -> tuple[Tensor, Tensor]:
        rows = torch.tensor([row for row, _ in points], device=self._step.device)
        alphas = torch.tensor([alpha for _, alpha in points], dtype=self._step.dtype, device=self._step.device)
        entering = torch.addcmul(self._start[rows], alphas.view(-1, 1, 1), self._step[rows]).requires_grad_()
        f = self._carried(entering, rows)
        slopes = [contract(self._step[rows], found) for (found,) in gradients(f, [entering])]
        return f.detach(), torch.stack(slopes, dim=1)

    def _carried(self, hidden: Tensor, rows: Tensor) -> Tensor:
        """F of points that enter as `hidden`, `points targets`. What the last block gives has no part in it."""
        total, trace = self._share(0, hidden, rows), self._ends.at_input
        for layer, call in enumerate(trace.calls[:-1], 1):
            hidden = call(hidden, rows, trace.batch)
            total = total + self._share(layer, hidden, rows)
        return total

    def _share(self, layer: int, hidden: Tensor, rows: Tensor) -> Tensor:
        """⟨Ḡˡ, hˡ − h'ˡ⟩ / L, `points targets`."""
        changes = hidden - self._ends.baseline_hidden[layer][rows]
        return torch.stack([contract(changes, of_target[rows]).sum(-1) for of_target in self._mean_gradients[layer]], dim=1)
