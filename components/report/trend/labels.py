"""Where versions lie in the trend's charts, and the texts that point at them, kept from lying on each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.report.trend.versions import TrendRow

WIDTH, HEIGHT = 460, 290
LEFT, RIGHT, TOP, BOTTOM = 50, 16, 58, 46
_ALIAS_ROWS = (22, 9)
_LETTER = 8.4  # width of a letter in a chart's text on a narrow screen, about
_MAX_LABEL = 16


@dataclass(frozen=True, slots=True)
class Label:
    """A text in the chart that points at a version."""

    x: float
    y: float
    text: str
    anchor: str


def slot(index: int, n: int) -> float:
    """The middle of a version's slot."""
    return LEFT + (index + 0.5) * slot_width(n)


def slot_width(n: int) -> float:
    """The width that each of `n` versions has."""
    return (WIDTH - LEFT - RIGHT) / max(n, 1)


def aliases_of(rows: Sequence[TrendRow]) -> tuple[Label, ...]:
    """The first alias of each version that has one, above its slot."""
    wanted = [(slot(i, len(rows)), _ALIAS_ROWS, _shortened(f"@{row.aliases[0]}")) for i, row in enumerate(rows) if row.aliases]
    return _without_collisions(wanted)


def words_of(
    rows: Sequence[TrendRow], largest: Callable[[TrendRow], float | None], place: Callable[[float], float]
) -> tuple[Label, ...]:
    """The first word that fired of each version, above its point."""
    wanted = []
    for index, row in enumerate(rows):
        value = largest(row)
        if row.firing and value is not None:
            more = f" +{len(row.firing) - 1}" if len(row.firing) > 1 else ""
            wanted.append((slot(index, len(rows)), (place(value) - 8,), _shortened(row.firing[0]) + more))
    return _without_collisions(wanted)


def _without_collisions(wanted: Sequence[tuple[float, Sequence[float], str]]) -> tuple[Label, ...]:
    """Newest first, each at the first height where it lies on no other; one that fits nowhere is left to the table."""
    labels: list[Label] = []
    for x, heights, text in reversed(wanted):
        tried = (_label(x, y, text) for y in heights)
        fitting = next((label for label in tried if not any(_overlap(label, other) for other in labels)), None)
        if fitting is not None:
            labels.append(fitting)
    return tuple(labels)


def _label(x: float, y: float, text: str) -> Label:
    """Centred on `x`, or flush with the edge it would cross."""
    half = len(text) * _LETTER / 2
    if x + half > WIDTH - 2:
        return Label(WIDTH - 2, y, text, "end")
    return Label(2, y, text, "start") if x - half < 2 else Label(x, y, text, "middle")


def _overlap(a: Label, b: Label) -> bool:
    (a_left, a_right), (b_left, b_right) = _reach(a), _reach(b)
    return abs(a.y - b.y) < 12 and a_left < b_right + 4 and b_left < a_right + 4


def _reach(label: Label) -> tuple[float, float]:
    width = len(label.text) * _LETTER
    left = label.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * width
    return left, left + width


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"
