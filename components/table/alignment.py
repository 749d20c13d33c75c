"""Two segmentations of one text brought together: drift compares versions on them, and the report draws them."""

from __future__ import annotations

from collections.abc import Sequence

Span = tuple[int, int]


def align(a: Sequence[tuple[Span, float]], b: Sequence[tuple[Span, float]]) -> list[tuple[Span, float, float]]:
    """Sum two segmentations of one text over their common refinement's joins: overlapping spans become one.

    Args:
        a, b: (span, value), sorted by span, not overlapping within a side.

    Returns:
        (span, value of a, value of b) per joined span; a side without a span there counts as 0.
    """
    tagged = sorted([(*span, value, 0.0) for span, value in a] + [(*span, 0.0, value) for span, value in b])
    joined: list[tuple[Span, float, float]] = []
    for start, end, value_a, value_b in tagged:
        if joined and start < joined[-1][0][1]:
            (first, last), sum_a, sum_b = joined[-1]
            joined[-1] = ((first, max(last, end)), sum_a + value_a, sum_b + value_b)
        else:
            joined.append(((start, end), value_a, value_b))
    return joined
