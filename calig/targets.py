"""What is explained: a linear function of the logits per row, so that every target is one row of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from calig.errors import InvalidInputError


def class_names(model: Any) -> list[str]:
    """The model's class names in logit order."""
    id2label: dict[int, str] = model.config.id2label
    return [str(id2label[i]) for i in sorted(id2label)]


def target_classes(target: str, logits: Tensor, names: Sequence[str], labels: Sequence[str | None]) -> list[int]:
    """The class explained in each row: the predicted one, the gold one, or the one named.

    Args:
        target: "predicted", "gold", or a class name.
        logits: `batch classes`.
        names: class names in logit order.
        labels: gold class name per row, needed for "gold".
    """
    if target == "predicted":
        return [int(i) for i in logits.argmax(-1)]
    wanted = [label if target == "gold" else target for label in labels]
    return [_index(name, names, target) for name in wanted]


def selector(classes: Sequence[int], logits: Tensor) -> Tensor:
    """Weights `batch classes` with f = Σ weights · logits: one at the class explained."""
    index = torch.tensor(classes, device=logits.device)
    return torch.nn.functional.one_hot(index, logits.shape[-1]).to(logits.dtype)


def _index(name: str | None, names: Sequence[str], target: str) -> int:
    if name is None:
        raise InvalidInputError(
            "target 'gold' needs a label for every row\ngot: a row without one\nnext: give labels, or target='predicted'"
        )
    if name not in names:
        raise InvalidInputError(
            f"unknown class for target {target!r}\ngot: {name!r}\nallowed: predicted, gold, {', '.join(names)}"
        )
    return list(names).index(name)
