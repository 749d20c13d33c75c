"""Results of weight randomisation and input perturbation on a few rows, by row and as the quality report shows them."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Interval, Record


class FalsifiedRow(Record):
    """One row's findings; None where there was nothing to compare, e.g. fewer than three tokens."""

    row: int = Field(description="position in the data set")
    id: str
    max_sensitivity: float | None = Field(description="lower is better")
    signed: tuple[float | None, ...] = Field(description="per stage, Spearman with the original map; should fall to 0")
    absolute: tuple[float | None, ...] = Field(description="per stage, the same of |values|")


class Falsification(Record):
    """What the attribution step found; `problem` says why there are no rows."""

    stages: tuple[str, ...] = Field(default=(), description="what was randomised, in order; later stages include earlier ones")
    rows: tuple[FalsifiedRow, ...] = ()
    problem: str | None = None


class RandomisationStage(Record):
    """One point of the randomisation curve: mean rank correlation with the original maps; None when no row could be compared."""

    name: str
    signed: float | None
    signed_interval: Interval | None
    absolute: float | None
    absolute_interval: Interval | None
    n: int


class FalsificationSummary(Record):
    """The part of the quality report on the attempt to falsify the maps."""

    row_ids: tuple[str, ...] = Field(description="the rows it was tried on, a seeded sample of the explained ones")
    stages: tuple[RandomisationStage, ...] = Field(description="cascading weight randomisation, head first")
    problem: str | None = Field(default=None, description="why it could not be tried")
