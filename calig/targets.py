"""What is explained: linear functions of the logits, one or several per row, so that every target is a row of weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from calig.errors import InvalidInputError
from calig.labels import BY_NAME, check_class_names

#: Options that are no class names.
PREDICTED, GOLD, MARGIN, EACH = "predicted", "gold", "margin", "each"


@dataclass(frozen=True)
class Target:
    """f = Σ weight · logit over `weights`, pairs of class index and weight; `name` as recorded."""

    name: str
    weights: tuple[tuple[int, float], ...]


def class_names(model: Any) -> list[str]:
    """The model's class names in logit order, all different; a regression model has one.

    Raises:
        InvalidInputError: two classes have one name.
    """
    id2label: dict[int, str] = model.config.id2label
    names = [str(id2label[i]) for i in sorted(id2label)]
    check_class_names(names)
    return names


def problem_type(model: Any) -> str:
    """`single_label_classification`, `multi_label_classification` or `regression`, as transformers calls them."""
    given: str | None = getattr(model.config, "problem_type", None)
    return given or ("regression" if len(model.config.id2label) == 1 else "single_label_classification")


def choose_targets(option: str, logits: Tensor, names: Sequence[str], labels: Sequence[str | None]) -> list[list[Target]]:
    """The targets of each row, equally many in every row.

    Args:
        option: "predicted": the class with the largest logit; "gold": the row's label; "margin": the largest logit less the
            second largest; "each": every class on its own (multi-label models); else a class name, or "class:NAME", also for
            classes that are called like one of these words.
        logits: `batch classes`.
        names: class names in logit order.
        labels: gold class name per row, needed for "gold".
    """
    if option == EACH:
        return [[_of_class(i, names) for i in range(len(names))] for _ in labels]
    if option == MARGIN:
        return [[_margin(row, names)] for row in logits]
    if option == PREDICTED:
        return [[_of_class(int(i), names)] for i in logits.argmax(-1)]
    wanted = [label if option == GOLD else class_of(option, names) for label in labels]
    return [[_of_class(_index(name, names, option), names)] for name in wanted]


def class_of(option: str, names: Sequence[str]) -> str:
    """The class that the option names: itself, or what follows `class:`."""
    return option if option in names else option.removeprefix(BY_NAME)


def selector(targets: Sequence[Sequence[Target]], logits: Tensor) -> Tensor:
    """Weights `batch targets classes` with f = Σ weights · logits over the classes."""
    weights = torch.zeros(len(targets), len(targets[0]), logits.shape[-1], dtype=logits.dtype, device=logits.device)
    for row, row_targets in enumerate(targets):
        for k, target in enumerate(row_targets):
            for index, weight in target.weights:
                weights[row, k, index] = weight
    return weights


def _of_class(index: int, names: Sequence[str]) -> Target:
    return Target(names[index], ((index, 1.0),))


def _margin(logits: Tensor, names: Sequence[str]) -> Target:
    if len(names) < 2:
        raise InvalidInputError(f"a margin needs two classes\ngot: a model with one output, {names[0]}\nnext: target='predicted'")
    first, second = (int(i) for i in logits.topk(2).indices)
    return Target(f"{names[first]} − {names[second]}", ((first, 1.0), (second, -1.0)))


def _index(name: str | None, names: Sequence[str], option: str) -> int:
    if name is None:
        raise InvalidInputError(
            "target 'gold' needs a label for every row\ngot: a row without one\nnext: give labels, or target='predicted'"
        )
    if name not in names:
        allowed = ", ".join((PREDICTED, GOLD, MARGIN, *names, f"{BY_NAME}NAME"))
        raise InvalidInputError(f"unknown class for target {option!r}\ngot: {name!r}\nallowed: {allowed}")
    return list(names).index(name)
