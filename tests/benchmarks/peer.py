"""The peer: Captum's LayerIntegratedGradients in a loop over the inputs of all blocks, set up as well as it can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from captum.attr import LayerIntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn

from calig.api import encode
from calig.baselines import choose_baseline
from calig.batching import equal_lengths
from calig.blocks import BlockStack
from calig.inputs import EncodedInput
from tests.benchmarks.cases import Loaded

Floats = NDArray[np.float64]

#: Captum's own default.
DEFAULT_POINTS = 50
#: Uniform numbers of Gauss-Legendre points tried, in this order.
LADDER = (6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 45, 50, 64, 80, 96, 128, 192, 256)
#: Points per forward pass tried.
_BATCHES = (16, 32, 64)
_TOKENS_PER_GROUP = 1024
#: By model type, the module of a block that gives the block's hidden states and nothing else.
_LAST_MODULE = {"deberta": "output", "deberta-v2": "output"}


class _Group(NamedTuple):
    """Rows of one length: the model's arguments for x and x' in the order of `names`, and the class explained."""

    inputs: tuple[Tensor, ...]
    baselines: tuple[Tensor, ...]
    classes: Tensor


class CaptumLoop:
    """One call of Captum per layer and group of rows of equal length: no padding, frozen weights, sdpa attention.

    difference: f(x) − f(x'), `rows`, in the order of the results of `layer_sums`.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.model, processor, items = loaded
        self.model.requires_grad_(False)
        stack = BlockStack(self.model)
        self.nodes = _nodes(self.model, stack.blocks)
        rows = [encode(item, self.model, processor) for item in items]
        self.names = list(rows[0].inputs)
        self.baseline = choose_baseline("auto", self.model, processor, stack.family.modality)
        lengths = equal_lengths([row.length for row in rows], _TOKENS_PER_GROUP)
        self.groups, differences = zip(*(self._group([rows[i] for i in group]) for group in lengths), strict=True)
        self.difference: Floats = np.concatenate(differences)
        self.internal_batch = _BATCHES[0]

    def layer_sums(self, layer: int, n_points: int, groups: Sequence[_Group] | None = None) -> Floats:
        """Σ_i s_iˡ of every row, from `n_points` Gauss-Legendre points: `rows`."""
        method = LayerIntegratedGradients(self._logits, self.nodes[layer])
        sums = []
        for group in groups or self.groups:
            values = method.attribute(
                group.inputs,
                baselines=group.baselines,
                target=group.classes,
                n_steps=n_points,
                method="gausslegendre",
                internal_batch_size=max(self.internal_batch, len(group.classes)),
            )
            values = values[0] if isinstance(values, tuple) else values
            sums.append(values.sum(-1).sum(-1, dtype=torch.float64).detach().cpu().numpy())
        return np.concatenate(sums)

    def all_layers(self, n_points: int) -> Floats:
        """The whole job: `rows layers`."""
        return np.stack([self.layer_sums(layer, n_points) for layer in range(len(self.nodes))], axis=1)

    def points_needed(self, allowed_p95: float) -> int | None:
        """The smallest number of `LADDER` whose residual stays within `allowed_p95` at every layer; None: there is none."""
        return next((n for n in LADDER if self._suffices(n, allowed_p95)), None)

    def candidates(self) -> tuple[int, ...]:
        """Values of `internal_batch` worth trying."""
        return _BATCHES

    def _suffices(self, n_points: int, allowed_p95: float) -> bool:
        """Stops at the first layer that does not, which is nearly always the bottom one."""
        layers = range(len(self.nodes))
        return all(p95(residuals(self.layer_sums(layer, n_points), self.difference)) <= allowed_p95 for layer in layers)

    def _logits(self, *tensors: Tensor) -> Tensor:
        logits: Tensor = self.model(**dict(zip(self.names, tensors, strict=True))).logits
        return logits

    def _group(self, rows: Sequence[EncodedInput]) -> tuple[_Group, Floats]:
        inputs = self._joined([row.inputs for row in rows])
        baselines = self._joined([self.baseline.apply(row) for row in rows])
        with torch.no_grad():
            at_input, at_baseline = self._logits(*inputs), self._logits(*baselines)
        classes = at_input.argmax(-1)
        difference = (at_input - at_baseline).gather(1, classes[:, None])[:, 0]
        return _Group(inputs, baselines, classes), difference.double().cpu().numpy()

    def _joined(self, rows: Sequence[dict[str, Tensor]]) -> tuple[Tensor, ...]:
        joined = (torch.cat([row[name] for row in rows]).to(self.model.device) for name in self.names)
        return tuple(t.to(self.model.dtype) if t.is_floating_point() else t for t in joined)


def _nodes(model: nn.Module, blocks: Sequence[nn.Module]) -> list[nn.Module]:
    """The modules whose outputs are the inputs of the blocks.

    Decoders have no module for all of their embeddings; DeBERTa's blocks return None beside their hidden states, which Captum
    cannot take: there it is the last module of each.
    """
    body: Any = model.base_model
    first = body.embeddings if hasattr(body, "embeddings") else body.get_input_embeddings()
    above = [block.get_submodule(_LAST_MODULE.get(body.config.model_type, "")) for block in blocks[:-1]]
    return [first, *above]


def residuals(sums: Floats, difference: Floats, floor: float = 0.1) -> Floats:
    """|Σ s − Δf| / max(|Δf|, floor) per row (and layer), the engine's measure worked out independently. Lower is better."""
    difference = difference.reshape(-1, *[1] * (sums.ndim - 1))
    result: Floats = np.abs(sums - difference) / np.maximum(np.abs(difference), floor)
    return result


def p95(per_row: Floats) -> float:
    """95th percentile over rows, of the worst layer where there are several."""
    return float(np.percentile(per_row, 95, axis=0).max())
