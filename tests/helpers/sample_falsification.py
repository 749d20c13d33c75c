"""What an attempt to falsify maps may find."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.base import Interval
from schemas.quality import Falsification, FalsificationSummary, FalsifiedRow, RandomisationStage


def falsification(rows: Mapping[int, tuple[float, float, float | None]]) -> Falsification:
    """Per row number: max-sensitivity, and the correlation of sizes after randomising the head, then everything."""
    return Falsification(
        stages=("head", "embeddings"),
        rows=tuple(
            FalsifiedRow(row=row, id=f"r{row}", max_sensitivity=sensitivity, signed=(0.1, -0.05), absolute=(head, everything))
            for row, (sensitivity, head, everything) in rows.items()
        ),
    )


def attempt(*, left: float = 0.02, problem: str | None = None) -> FalsificationSummary:
    """A randomisation curve over six blocks that ends at `left`; with a `problem`, none."""
    names = ("head", *(f"block {i}" for i in range(6, 0, -1)), "embeddings")
    values = [0.8 + (left - 0.8) * i / 7 for i in range(8)]
    stages = [
        RandomisationStage(
            name=name,
            signed=value / 2,
            signed_interval=Interval(low=value / 2 - 0.1, high=value / 2 + 0.1),
            absolute=value,
            absolute_interval=Interval(low=value - 0.1, high=value + 0.1),
            n=16,
        )
        for name, value in zip(names, values, strict=True)
    ]
    return FalsificationSummary(
        row_ids=() if problem else tuple(f"r{i}" for i in range(16)), stages=() if problem else tuple(stages), problem=problem
    )
