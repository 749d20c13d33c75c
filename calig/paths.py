"""The straight paths from h'ˡ to hˡ, of all layers and all rows of a group, and the logit and its slopes anywhere on them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calig.batching import halving_on_out_of_memory
from calig.blocks import BlockStack
from calig.integration import PathValues, Points
from calig.passes import Ends, gradients

Floats = NDArray[np.float64]


class Paths:
    """Paths are numbered layer by layer: path = layer · rows + row."""

    def __init__(self, stack: BlockStack, ends: Ends, *, batch_tokens: int) -> None:
        self._stack, self._ends = stack, ends
        self._rows, self._seq = ends.at_input.hidden[0].shape[:2]
        self._starts = ends.baseline_hidden
        self._steps = [h.detach() - start for h, start in zip(ends.at_input.hidden, self._starts, strict=True)]
        self._batch = max(1, batch_tokens // self._seq)

    def ends(self) -> list[PathValues]:
        """What the passes at x' and x tell about every path: the ends of the quadrature cost nothing more."""
        f = torch.stack(self._ends.f).double().cpu().numpy()
        known = []
        for step, *both in zip(self._steps, *self._ends.gradients, strict=True):
            slopes = torch.stack([_contract(step, gradient) for gradient in both]).cpu().numpy()
            known += [PathValues(np.array([0.0, 1.0]), f[:, row], slopes[:, :, row]) for row in range(self._rows)]
        return known

    def evaluate(self, points: Points, *, reduced: bool = False) -> tuple[Floats, Floats]:
        """f and (hˡ − h'ˡ) · ∂f/∂hˡ at points (path, α): `points targets` and `points targets seq`, float64.

        Args:
            points: in any order; those of all layers go down the stack together.
            reduced: matrix products on bfloat16 operands.
        """
        order = sorted(range(len(points)), key=lambda i: points[i][0])
        with self._stack.products(reduced=reduced):
            parts = halving_on_out_of_memory(self._sweep, [points[i] for i in order], self._batch)
        f, slopes = (torch.cat(tensors).cpu().numpy() for tensors in zip(*parts, strict=True))
        back = np.argsort(order)
        return f[back], slopes[back]

    def _sweep(self, points: Points) -> tuple[Tensor, Tensor]:
        """One pass down the stack, each point entering at its own layer; points in the order of their paths."""
        layers, rows = np.divmod([path for path, _ in points], self._rows)
        row_of = torch.tensor(rows, device=self._steps[0].device)
        alphas = torch.tensor([alpha for _, alpha in points], dtype=self._steps[0].dtype, device=row_of.device)
        entries, steps = {}, []
        for layer in np.unique(layers):
            here = slice(*np.searchsorted(layers, [layer, layer + 1]))
            steps.append(self._steps[layer][row_of[here]])
            start = self._starts[layer][row_of[here]]
            entries[int(layer)] = torch.addcmul(start, alphas[here].view(-1, 1, 1), steps[-1]).requires_grad_()
        logits = self._stack.resume(entries, self._ends.at_input, row_of, read_out=self._ends.read_out)
        f = self._ends.explained.of(row_of)(logits)
        slopes = [
            torch.cat([_contract(*pair) for pair in zip(steps, g, strict=True)]) for g in gradients(f, list(entries.values()))
        ]
        return f.detach().double(), torch.stack(slopes, dim=1)


def _contract(step: Tensor, gradient: Tensor) -> Tensor:
    """Per position the share in ∂f/∂α: `… rows seq hidden` → `… rows seq`, summed in float64."""
    return (step * gradient).sum(-1, dtype=torch.float64)
