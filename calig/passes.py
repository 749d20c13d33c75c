"""One pass forward and back at x and one at x': both ends of every path, and what fusion needs to know of the pass at x.

Between the ends: f and its slopes anywhere on the paths of all layers, in one sweep down the stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calig.baselines import Baseline
from calig.batching import fetched, halving_on_out_of_memory
from calig.blocks import BlockStack, Replacement, Trace, padding_id
from calig.inputs import EncodedInput, joined, joined_shifts
from calig.integration import PathIntegral, PathValues, Points
from calig.readout import read_out_position
from calig.targets import Explained, Target, selector

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ends:
    """Both ends of every path, for one group of rows of equal length.

    at_input: the pass at x; baseline_hidden: h'ˡ per layer, `rows seq hidden`; explained: f as a function of the logits;
    f: its values at x' and x, `rows targets` each; gradients: ∂f/∂hˡ at x' and x, per layer, `targets rows seq
    hidden`; read_out: the position that the head reads, when it reads only one.
    """

    at_input: Trace
    baseline_hidden: list[Tensor]
    explained: Explained
    f: tuple[Tensor, Tensor]
    gradients: tuple[list[Tensor], list[Tensor]]
    read_out: int | None


@dataclass(frozen=True)
class ContextGradients:
    """What fusion needs of the pass at x.

    output_gradients: ∂f/∂o per block, `rows seq heads dim` for each target; read: how much of the logit is read at each
    position of the last block's output, `rows seq` for each target, each row summing to one.
    """

    output_gradients: list[tuple[Tensor, ...]]
    read: list[Tensor]


class _Placed(NamedTuple):
    """Points in the order of their layers; the layer and row of each, and its α, the latter two on the device."""

    points: Points
    layers: NDArray[np.int64]
    rows: Tensor
    alphas: Tensor

    def part(self, part: Sequence[int]) -> _Placed:
        """Consecutive points."""
        here = slice(part[0], part[-1] + 1)
        return _Placed(self.points[here], self.layers[here], self.rows[here], self.alphas[here])


class Paths:
    """The paths of all layers, numbered layer by layer: path = layer · rows + row.

    keeps_gradients: what `mean_gradients` needs, a tensor of hidden states for every point.
    """

    def __init__(self, stack: BlockStack, ends: Ends, *, batch_tokens: int, keeps_gradients: bool = False) -> None:
        self._stack, self._ends = stack, ends
        self._keeps_gradients = keeps_gradients
        self._kept: dict[tuple[int, float], Tensor] = {}
        self._rows, self._seq = ends.at_input.hidden[0].shape[:2]
        self._starts = ends.baseline_hidden
        self._steps = [h.detach() - start for h, start in zip(ends.at_input.hidden, self._starts, strict=True)]
        self._batch = max(1, batch_tokens // self._seq)

    def ends(self) -> list[PathValues]:
        """What the passes at x' and x tell about every path: the ends of the quadrature cost nothing more."""
        both = zip(self._steps, *self._ends.gradients, strict=True)
        by_layer = [torch.stack([contract(step, gradient) for gradient in ends]) for step, *ends in both]
        f, slopes = fetched(torch.stack(self._ends.f), torch.stack(by_layer))
        return [PathValues.at_ends(f[:, row], layer[:, :, row]) for layer in slopes for row in range(self._rows)]

    def evaluate(self, points: Points, *, reduced: bool = False) -> tuple[Floats, Floats]:
        """f and (hˡ − h'ˡ) · ∂f/∂hˡ at points (path, α): `points targets` and `points targets seq`, float64.

        Args:
            points: in any order; those of all layers go down the stack together.
            reduced: matrix products on bfloat16 operands.
        """
        order = sorted(range(len(points)), key=lambda i: points[i][0])
        placed = self._placed([points[i] for i in order])
        with self._stack.products(reduced=reduced):
            parts = halving_on_out_of_memory(lambda part: self._sweep(placed, part), range(len(points)), self._batch)
        f, slopes = fetched(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
        back = np.argsort(order)
        return f[back], slopes[back]

    def mean_gradients(self, integrals: Sequence[PathIntegral]) -> list[Tensor]:
        """Ḡˡ = ∫ ∂f/∂hˡ dα of every layer, `targets rows seq hidden`, by the points and weights of the paths' integrals."""
        of_path = [self._mean_gradient(path, integral) for path, integral in enumerate(integrals)]
        return [torch.stack(of_path[first : first + self._rows], 1) for first in range(0, len(of_path), self._rows)]

    def _mean_gradient(self, path: int, integral: PathIntegral) -> Tensor:
        """`targets seq hidden`."""
        found = torch.stack([self._gradient(path, float(alpha)) for alpha in integral.alphas], 1)
        return torch.einsum("kn,knsd->ksd", torch.tensor(integral.weights).to(found), found)

    def _gradient(self, path: int, alpha: float) -> Tensor:
        """∂f/∂hˡ where it was looked at, `targets seq hidden`."""
        layer, row = divmod(path, self._rows)
        at_end = alpha in (0.0, 1.0)
        return self._ends.gradients[int(alpha)][layer][:, row] if at_end else self._kept[path, alpha]

    def _placed(self, points: Points) -> _Placed:
        """Copied to the device for all sweeps at once: a copy waits for all that was asked for before it."""
        layers, rows = np.divmod([path for path, _ in points], self._rows)
        step = self._steps[0]
        alphas = torch.tensor([alpha for _, alpha in points], dtype=step.dtype, device=step.device)
        return _Placed(points, layers, torch.tensor(rows, device=step.device), alphas)

    def _sweep(self, placed: _Placed, part: Sequence[int]) -> tuple[Tensor, Tensor]:
        """One pass down the stack, each point entering at its own layer; `part`: which of the points."""
        points, layers, row_of, alphas = placed.part(part)
        entries, steps = {}, []
        for layer in np.unique(layers):
            here = slice(*np.searchsorted(layers, [layer, layer + 1]))
            steps.append(self._steps[layer][row_of[here]])
            start = self._starts[layer][row_of[here]]
            entries[int(layer)] = torch.addcmul(start, alphas[here].view(-1, 1, 1), steps[-1]).requires_grad_()
        logits = self._stack.resume(entries, self._ends.at_input, row_of, read_out=self._ends.read_out)
        f = self._ends.explained.of(row_of)(logits)
        found = gradients(f, list(entries.values()))
        if self._keeps_gradients:
            self._kept.update(zip(points, torch.stack([torch.cat(g) for g in found], dim=1), strict=True))
        slopes = [torch.cat([contract(*pair) for pair in zip(steps, g, strict=True)]) for g in found]
        return f.detach(), torch.stack(slopes, dim=1)


def pass_both_ends(
    stack: BlockStack, rows: Sequence[EncodedInput], baseline: Baseline, choose: Callable[[Tensor], list[list[Target]]]
) -> tuple[Ends, list[list[Target]], ContextGradients]:
    """Forward and backward at x and x'. The gradients at both ends are quadrature points of every layer at once."""
    inputs = joined([row.inputs for row in rows], stack.model)
    shift = joined_shifts(rows)
    at_input = stack.trace(inputs, shift)
    logits = at_input.logits.detach()
    targets = choose(logits)
    explained = selector(targets, logits)
    f_input = explained(at_input.logits)
    n = len(at_input.hidden)
    attended = [call.output for call in at_input.attention]
    all_gradients = gradients(f_input, [*at_input.hidden, *attended, at_input.output])
    position = read_out_position(torch.stack([g[-1] for g in all_gradients]).flatten(0, 1))
    if position == 0 and stack.family.reads_last:
        position = None  # the first position of causal attention sees nothing but itself
    stack.verify(at_input, position)

    hidden, f_baseline, baseline_gradients = _pass_baselines(stack, rows, baseline, explained)
    input_gradients = _by_layer([g[:n] for g in all_gradients])
    ends = Ends(at_input, hidden, explained, (f_baseline, f_input.detach()), (baseline_gradients, input_gradients), position)
    read = [_shares(g[-1].norm(dim=-1)) for g in all_gradients]
    return ends, targets, ContextGradients([g[n:-1] for g in all_gradients], read)


def gradients(f: Tensor, inputs: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """∂f/∂(each input) for each target of f, `rows targets`; the forward pass is shared."""
    last = f.shape[1] - 1
    return [torch.autograd.grad(f[:, k].sum(), inputs, retain_graph=k < last) for k in range(last + 1)]


def _pass_baselines(
    stack: BlockStack, rows: Sequence[EncodedInput], baseline: Baseline, explained: Explained
) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """h'ˡ per layer, f and its gradients at x'. Rows of one length often share their baseline: each is passed once."""
    weights = explained.weights.tolist()
    inputs = [row.inputs if baseline.embedding is not None else baseline.apply(row) for row in rows]
    keys = [_key(stack, row, given, baseline, w) for row, given, w in zip(rows, inputs, weights, strict=True)]
    first = [keys.index(key) for key in keys]
    distinct = sorted(set(first))
    of_row = torch.tensor([distinct.index(i) for i in first], device=explained.weights.device)
    replacement = None
    if baseline.embedding is not None:
        where = torch.tensor([rows[i].content for i in distinct], device=of_row.device)
        replacement = Replacement(where, baseline.embedding)
    trace = stack.trace(joined([inputs[i] for i in distinct], stack.model), replacement=replacement)
    f = explained.of(distinct)(trace.logits)
    by_layer = _by_layer(gradients(f, trace.hidden))
    return [h.detach()[of_row] for h in trace.hidden], f.detach()[of_row], [g[:, of_row] for g in by_layer]


def _key(stack: BlockStack, row: EncodedInput, inputs: dict[str, Tensor], baseline: Baseline, weights: Any) -> tuple[Any, ...]:
    """Equal for rows with equal x': what replaces content is the same everywhere, so that its token ids say nothing, but for
    which of them are padding: from that models derive positions and where to read."""
    if baseline.embedding is None:
        return (*(_bytes(tensor) for tensor in inputs.values()), weights)
    ids, content = inputs["input_ids"], torch.tensor([row.content])
    filler = padding_id(stack.model)
    padding = content if filler is None else ids.eq(filler)
    others = [tensor for name, tensor in inputs.items() if name != "input_ids"]
    return (*(_bytes(tensor) for tensor in (ids.masked_fill(content, -1), padding, *others)), weights)


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().contiguous().view(torch.uint8).numpy().tobytes()  # NumPy has no bfloat16


def _by_layer(by_target: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Gradients per layer: `targets rows seq hidden` each."""
    return [torch.stack(tensors) for tensors in zip(*by_target, strict=True)]


def _shares(amounts: Tensor) -> Tensor:
    return amounts / amounts.sum(-1, keepdim=True).clamp(min=torch.finfo(amounts.dtype).tiny)


def contract(step: Tensor, gradient: Tensor) -> Tensor:
    """Per position the share in ∂f/∂α: `… rows seq hidden` → `… rows seq`, summed in float64."""
    return (step * gradient).sum(-1, dtype=torch.float64)
