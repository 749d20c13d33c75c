"""The model as every peer evaluates it: the logit explained, batches that suit a CPU, and what CA-LIG's time affords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks.faithfulness.methods import ExplainedRow
from tests.benchmarks.machine import worked

#: What suits the caches of a CPU, as in the engine.
_TOKENS_AT_ONCE = 1024
#: A gradient at the input costs at most as much as three evaluations; fewer points than ten are no path.
_EVALUATIONS_PER_GRADIENT, _FEWEST_POINTS = 3, 10


def logit_of(model: Any, row: ExplainedRow) -> Callable[[Tensor], Tensor]:
    """The logit explained from token ids, word embeddings or pixels, of which the first dimension is the batch."""
    others = {n: t for n, t in row.encoded.inputs.items() if n not in ("input_ids", "pixel_values")}

    def logit(given: Tensor) -> Tensor:
        name = "pixel_values" if given.dim() == 4 else "inputs_embeds" if given.is_floating_point() else "input_ids"
        expanded = {n: t.expand(len(given), *t.shape[1:]) for n, t in others.items()}
        return model(**{name: given}, **expanded).logits[:, row.class_index]

    return logit


def batch_of(row: ExplainedRow) -> int:
    """Rows of this length at once."""
    return max(1, _TOKENS_AT_ONCE // row.encoded.length)


def affordable(model: Any, row: ExplainedRow) -> int:
    """Evaluations that take as long as CA-LIG took for the row, in the same batches; a peer's own work comes on top."""
    x = given(row)
    x = x.expand(batch_of(row), *[-1] * (x.dim() - 1))
    with torch.no_grad():
        seconds = min(worked(lambda: logit_of(model, row)(x), model.device.type)[0] for _ in range(2))
    return max(2, round(row.seconds / seconds * len(x)))


def affordable_points(evaluations: int) -> int:
    """Points of a path, each with its gradient, for which so many evaluations leave time."""
    return max(_FEWEST_POINTS, evaluations // _EVALUATIONS_PER_GRADIENT)


def given(row: ExplainedRow) -> Tensor:
    """Token ids `1 seq` or pixels `1 channels height width` of x."""
    return row.encoded.inputs[given_name(row)]


def given_name(row: ExplainedRow) -> str:
    """What the model calls them."""
    return "pixel_values" if row.encoded.image is not None else "input_ids"
