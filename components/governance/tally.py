"""What the record counts of all rows of the attribution table as they stream past: no row is held, one number of each is."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from components.table.gold import Answered
from schemas.governance import SkippedRow


class Row(Answered):
    """The columns of the attribution table that the record needs; many are None beside a problem."""

    row: int
    id: str
    segments: dict[str, str] | None
    problem: str | None
    coverage: float
    windows: list[dict[str, int]] | None
    n_points: list[int]
    converged: bool
    objective: str


_SKIPPED_LISTED = 50


class RowTally:
    """Counts of the rows that were explained and of those that were not; complete once `explained` is exhausted."""

    def __init__(self, segment_columns: Iterable[str]) -> None:
        self.n_explained = self.n_skipped = self.n_truncated = self.n_windowed = self.n_layers = 0
        self.skipped: list[SkippedRow] = []
        self.segments: dict[str, Counter[str]] = {column: Counter() for column in segment_columns}
        self.objectives: set[str] = set()
        self._coverage, self._points, self._chosen = array("d"), 0, 0

    def explained(self, table: Iterable[Row]) -> Iterator[Row]:
        """The rows of `table` that have an attribution, in order; all are counted on the way."""
        for row in table:
            if row["problem"] is not None:
                self._skip(row, row["problem"])
            else:
                self._count(row)
                yield row

    @property
    def coverage(self) -> float | None:
        """Mean share of a text that was explained; None without explained rows."""
        return float(np.mean(np.array(self._coverage))) if self._coverage else None

    @property
    def mean_points(self) -> float:
        """Mean number of integration points over rows and layers; 0 without explained rows."""
        return self._points / self._chosen if self._chosen else 0.0

    def _skip(self, row: Row, problem: str) -> None:
        self.n_skipped += 1
        if len(self.skipped) < _SKIPPED_LISTED:
            self.skipped.append(SkippedRow(id=row["id"], row=row["row"], problem=problem))

    def _count(self, row: Row) -> None:
        if not self.n_explained:
            self.n_layers = len(row["n_points"])
        self.n_explained += 1
        self.n_truncated += row["coverage"] < 1.0
        self.n_windowed += row["windows"] is not None
        self.objectives.add(row["objective"])
        self._coverage.append(row["coverage"])
        self._points += sum(row["n_points"])
        self._chosen += len(row["n_points"])
        self._count_segments(row["segments"] or {})

    def _count_segments(self, segments: dict[str, str]) -> None:
        for column, found in self.segments.items():
            if (value := segments.get(column)) is not None:
                found[value] += 1
