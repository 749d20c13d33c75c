"""ReplayReport: published attributions computed again, and whether they are the same."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from schemas.base import Record


class ReplayOutcome(StrEnum):
    """How far what was computed again is what was published."""

    EXACT = "bit for bit"
    WITHIN = "within tolerance"
    DIFFERS = "differs"


class EnvironmentChange(Record):
    """Something about the surroundings that is not as it was."""

    name: str
    recorded: str
    now: str


class RowReplay(Record):
    """One row, published and computed again."""

    row: int
    id: str
    exact: bool
    change: float | None = Field(
        description="largest Σ|change| / Σ|attribution| over result and layers, and of the logits; lower is better; None: "
        "tokens, class or problem differ"
    )
    note: str = ""


class ReplayReport(Record):
    """Printed by `calig replay --json`."""

    model: str
    version: str
    record_sha256: str
    outcome: ReplayOutcome
    tolerance: float
    n_rows: int
    n_exact: int
    largest_change: float | None = Field(description="over the rows that can be compared; None: none can")
    rows: tuple[RowReplay, ...] = Field(description="at most 20 that are beyond the tolerance, worst first")
    n_beyond: int
    causes: tuple[str, ...] = Field(description="what cannot be the same any more: weights, formula")
    environment: tuple[EnvironmentChange, ...] = Field(description="what differs between the record's surroundings and these")
