"""The columns that say what a row's attribution is of, as the engine writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calig.targets import Target, class_target


def explained(target: str, labels: Sequence[str], objective: str = "centred") -> dict[str, Any]:
    """Columns `target`, `objective` and `target_weights` of a row explained toward class `target`."""
    return columns(class_target(list(labels).index(target), labels, objective), labels)


def margin(first: str, second: str, labels: Sequence[str]) -> dict[str, Any]:
    """The same of a margin."""
    weights = tuple((list(labels).index(name), weight) for name, weight in ((first, 1.0), (second, -1.0)))
    return columns(Target(f"{first} − {second}", weights, "margin"), labels)


def columns(target: Target, labels: Sequence[str]) -> dict[str, Any]:
    """The columns of a target."""
    weights = list(zip(labels, target.of_classes(len(labels)), strict=True))
    return {"target": target.name, "objective": target.objective, "target_weights": weights}
