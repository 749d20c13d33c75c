"""Explained functions f of the logits: one or several per row.

A softmax decides by differences of logits: whatever is added to all of them changes nothing. So f is a difference too, unless
the outputs are independent of each other (multi-label models, regression), where each logit speaks for itself.
"""

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

#: What is explained of a class: its logit less the mean of the other classes' (for two classes the margin), its logit alone, or
#: its log-odds log p/(1 − p), the logit less log Σ exp of the others'.
CENTRED, LOGIT, LOG_ODDS = "centred", "logit", "log_odds"
OBJECTIVES = (CENTRED, LOGIT, LOG_ODDS)


@dataclass(frozen=True)
class Target:
    """f = Σ weight · logit over `weights`, pairs of class index and weight; `name` as recorded.

    objective: centred, logit, log_odds, or margin. With log_odds of more than two classes, log Σ exp of the logits without
    weight is subtracted; with two classes log-odds are the margin, a linear function like all the others.
    """

    name: str
    weights: tuple[tuple[int, float], ...]
    objective: str = LOGIT

    def of_classes(self, n_classes: int) -> list[float]:
        """The weight of each class, in logit order."""
        given = dict(self.weights)
        return [given.get(index, 0.0) for index in range(n_classes)]


@dataclass(frozen=True)
class Explained:
    """The functions of a group of rows: logits `rows classes` → f, `rows targets`.

    weights: `rows targets classes`; log_odds: log Σ exp of the logits without weight is subtracted.
    """

    weights: Tensor
    log_odds: bool = False

    def __call__(self, logits: Tensor) -> Tensor:
        """The explained functions of `rows classes` logits, differentiable."""
        logits = logits.unsqueeze(1)
        f: Tensor = (logits * self.weights).sum(-1)
        return f - logits.masked_fill(self.weights != 0, -torch.inf).logsumexp(-1) if self.log_odds else f

    def of(self, rows: Sequence[int] | Tensor) -> Explained:
        """The functions of some rows, in the order of `rows`."""
        return Explained(self.weights[rows], self.log_odds)


def class_names(model: Any) -> list[str]:
    """The model's class names in logit order, all different; a regression model has one.

    Raises:
        InvalidInputError: two classes have one name, or the ids are not 0, 1, 2, …, so that a name would stand for another logit.
    """
    id2label: dict[int, str] = model.config.id2label
    if sorted(id2label) != list(range(len(id2label))):
        raise InvalidInputError(
            f"the ids in id2label are not those of the logits\ngot: {str(sorted(id2label))[:100]}"
            f"\nallowed: 0 … {len(id2label) - 1}\nnext: mend id2label in the model's config.json"
        )
    names = [str(id2label[i]) for i in sorted(id2label)]
    check_class_names(names)
    return names


def problem_type(model: Any) -> str:
    """`single_label_classification`, `multi_label_classification` or `regression`, as transformers calls them."""
    given: str | None = getattr(model.config, "problem_type", None)
    return given or ("regression" if len(model.config.id2label) == 1 else "single_label_classification")


def objective_for(model: Any, objective: str) -> str:
    """`objective` where a softmax over several classes decides; else the logit, since no output depends on the others."""
    softmax = problem_type(model) == "single_label_classification" and len(model.config.id2label) > 1
    return objective if softmax else LOGIT


def choose_targets(
    option: str, logits: Tensor, names: Sequence[str], labels: Sequence[str | None], objective: str
) -> list[list[Target]]:
    """The targets of each row, equally many in every row.

    Args:
        option: "predicted": the class with the largest logit; "gold": the row's label; "margin": the largest logit less the
            second largest; "each": every class on its own (multi-label models); else a class name, or "class:NAME", also for
            classes that are called like one of these words.
        logits: `batch classes`.
        names: class names in logit order.
        labels: gold class name per row, needed for "gold".
        objective: what is explained of a class, see `objective_for`; a margin is a difference of two logits in any case.
    """
    if option == EACH:
        return [[class_target(i, names, objective) for i in range(len(names))] for _ in labels]
    if option == MARGIN:
        return [[_margin(*largest, names)] for largest in _two_largest(logits, names)]
    if option == PREDICTED:
        return [[class_target(i, names, objective)] for i in logits.argmax(-1).tolist()]
    wanted = [label if option == GOLD else class_of(option, names) for label in labels]
    return [[class_target(_index(name, names, option), names, objective)] for name in wanted]


def class_of(option: str, names: Sequence[str]) -> str:
    """The class that the option names: itself, or what follows `class:`."""
    return option if option in names else option.removeprefix(BY_NAME)


def class_target(index: int, names: Sequence[str], objective: str) -> Target:
    """What `objective` explains of the class number `index`."""
    n_others = len(names) - 1
    if objective == LOGIT or n_others == 0 or (objective == LOG_ODDS and n_others > 1):
        weights: tuple[tuple[int, float], ...] = ((index, 1.0),)
    else:
        weights = tuple((i, 1.0 if i == index else -1.0 / n_others) for i in range(len(names)))
    return Target(names[index], weights, objective)


def selector(targets: Sequence[Sequence[Target]], logits: Tensor) -> Explained:
    """The functions that `targets` name, for a group of rows with these logits, `batch classes`."""
    n_classes = logits.shape[-1]
    weights = [[target.of_classes(n_classes) for target in row] for row in targets]
    log_odds = {target.objective == LOG_ODDS and n_classes > 2 for row in targets for target in row}
    if len(log_odds) > 1:
        raise InvalidInputError("log-odds and linear functions of the logits cannot be explained in one group")
    return Explained(torch.tensor(weights, dtype=logits.dtype, device=logits.device), log_odds.pop())


def _two_largest(logits: Tensor, names: Sequence[str]) -> list[tuple[int, int]]:
    if len(names) < 2:
        raise InvalidInputError(f"a margin needs two classes\ngot: a model with one output, {names[0]}\nnext: target='predicted'")
    return [(first, second) for first, second in logits.topk(2).indices.tolist()]


def _margin(first: int, second: int, names: Sequence[str]) -> Target:
    return Target(f"{names[first]} − {names[second]}", ((first, 1.0), (second, -1.0)), MARGIN)


def _index(name: str | None, names: Sequence[str], option: str) -> int:
    if name is None:
        raise InvalidInputError(
            "target 'gold' needs a label for every row\ngot: a row without one\nnext: give labels, or target='predicted'"
        )
    if name not in names:
        allowed = ", ".join((PREDICTED, GOLD, MARGIN, *names, f"{BY_NAME}NAME"))
        raise InvalidInputError(f"unknown class for target {option!r}\ngot: {name!r}\nallowed: {allowed}")
    return list(names).index(name)
