"""Orientation of attributions: the one rule by which two rows are compared, and turned where they must be.

What a row's attribution is of stands in the attribution table: `target_weights`, class → weight, with f = Σ weight · logit, and
`objective`. Everything that compares signs reads it from there. Where a softmax decides between two classes, what speaks for one
speaks against the other exactly; independent labels, and classes that are explained by one logit alone, are never turned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

Row = Mapping[str, Any]


class Target(TypedDict):
    """The columns of the attribution table that the rule reads."""

    target: str
    objective: str
    target_weights: dict[str, float]


class NamedTarget(Target):
    """What is explained of one row, by its id."""

    id: str


#: The same columns, for those who read more.
COLUMNS = tuple(Target.__annotations__)

#: Weights are sums of a few fractions; versions may order their classes differently, so that these are rounded differently.
_ROUNDING = 1e-9


class Orientation(NamedTuple):
    """The class that attributions are counted toward, and the sign that turns the row's own toward it."""

    toward: str
    sign: Literal[1, -1]


def weights_of(row: Row) -> dict[str, float]:
    """Class → weight of its logit in what was explained, in logit order."""
    return dict(row["target_weights"] or ())


def class_of(row: Row) -> str:
    """The class explained, of a margin the first of its two: the one with the largest weight."""
    weights = weights_of(row)
    return max(weights, key=lambda name: weights[name])


def sign_between(row: Row, other: Row) -> Literal[1, -1] | None:
    """1 if both rows explain one function of the logits, −1 if one's is the negative of the other's, None if neither."""
    a, b = weights_of(row), weights_of(other)
    if row["objective"] != other["objective"] or a.keys() != b.keys():
        return None
    if _equal(a, b, 1):
        return 1
    return -1 if _equal(a, b, -1) else None


def orientation(row: Row, labels: Sequence[str]) -> Orientation:
    """Toward which class a row counts: of two that exclude each other the second one, else the row's own target."""
    if opposite(row, labels) is None:
        return Orientation(row["target"], 1)
    return Orientation(labels[1], 1 if weights_of(row)[labels[1]] > 0 else -1)


def opposite(row: Row, labels: Sequence[str]) -> str | None:
    """The class that the negative of the row's attribution speaks for; None where there is no such class."""
    weights = weights_of(row)
    if len(labels) != 2 or weights.keys() != set(labels) or not math.isclose(sum(weights.values()), 0.0, abs_tol=_ROUNDING):
        return None
    return next(name for name in labels if name != class_of(row))


def _equal(a: Mapping[str, float], b: Mapping[str, float], sign: int) -> bool:
    return all(math.isclose(a[name], sign * b[name], rel_tol=0.0, abs_tol=_ROUNDING) for name in a)
