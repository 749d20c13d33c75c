"""What the target of an attribution stands for: a class, or the margin of one class over another.

The table holds the target by its name. A margin is written `first − second` (`calig.targets`) and positive relevance supports its
first class.
"""

from __future__ import annotations

from collections.abc import Sequence

_MINUS = " − "


def classes_of(target: str, labels: Sequence[str]) -> tuple[str, ...]:
    """The classes of `target`: itself, or the first and the second of a margin; empty when it is none of `labels`."""
    if target in labels:
        return (target,)
    parts = target.split(_MINUS)
    cuts = ((_MINUS.join(parts[:i]), _MINUS.join(parts[i:])) for i in range(1, len(parts)))  # a class may hold the sign itself
    return next((pair for pair in cuts if set(pair) <= set(labels)), ())


def supported_class(target: str, labels: Sequence[str]) -> str | None:
    """The class that positive relevance supports; None when `target` names none of `labels`."""
    return next(iter(classes_of(target, labels)), None)
