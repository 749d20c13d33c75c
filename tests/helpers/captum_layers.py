"""Captum's layer integrated gradients of one row, on the model's own forward pass or from the input of every block on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients
from numpy.typing import NDArray
from torch import Tensor

from calig.blocks import attributable
from tests.helpers.tiny_families import CASES

Floats = NDArray[np.float64]
Inputs = dict[str, Tensor]


def on_the_untouched_model(model: Any, inputs: Inputs, baseline: Inputs, target: int, n_points: int) -> Floats:
    """`layers seq`: LayerIntegratedGradients at the modules whose outputs are the inputs of the blocks."""
    names = list(inputs)

    def forward(*tensors: Tensor) -> Tensor:
        logits: Tensor = model(**dict(zip(names, tensors, strict=True))).logits
        return logits[:, target]

    ends = [tuple(_double(side).values()) for side in (inputs, baseline)]
    nodes = CASES[model.config.model_type].nodes
    if nodes is None:
        raise ValueError(f"Captum cannot name the inputs of the blocks of {model.config.model_type}")
    found = []
    for node in nodes(model):
        method = LayerIntegratedGradients(forward, node)
        values = method.attribute(ends[0], baselines=ends[1], n_steps=n_points, method="gausslegendre")
        found.append((values[0] if isinstance(values, tuple) else values).sum(-1)[0].detach().numpy())
    return np.stack(found)


def from_every_block_on(model: Any, inputs: Inputs, baseline: Inputs, target: int, n_points: int) -> Floats:
    """`layers seq`: IntegratedGradients of what follows the input of each block, resumed by the engine."""
    found = []
    with attributable(model) as stack:
        at_input, at_baseline = stack.trace(_double(inputs)), stack.trace(_double(baseline))
        for layer, (h, b) in enumerate(zip(at_input.hidden, at_baseline.hidden, strict=True)):

            def onward(hidden: Tensor, layer: int = layer) -> Tensor:
                return stack.resume({layer: hidden}, at_input, torch.zeros(len(hidden), dtype=torch.long))

            values = IntegratedGradients(onward).attribute(
                h.detach(),
                baselines=b.detach(),
                target=target,
                n_steps=n_points,
                method="gausslegendre",
                internal_batch_size=n_points // 2,
            )
            found.append(values.sum(-1)[0].detach().numpy())
    return np.stack(found)


def _double(inputs: Inputs) -> Inputs:
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in inputs.items()}
