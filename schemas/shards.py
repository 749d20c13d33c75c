"""Finished shards: of the attribution table, and of the rows that quality scores; which rows are scored, and by what."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from schemas.base import Record
from schemas.quality import ScorerRecord

#: Another number whenever the same row and settings would give another score, or one in another column.
SCORED_VERSION = "1"


class TableShard(Record):
    """One finished file of a table that is computed in shards."""

    index: int
    path: Path
    sha256: str = Field(description="of the Parquet file")
    n_rows: int


class ShardResult(TableShard):
    """One finished shard of the attribution table: what the task passes on instead of the data."""

    n_explained: int
    seconds: float
    attention_kernel: str
    device: str
    baseline: str = Field(description="resolved baseline, e.g. [MASK] tokens")
    device_versions: dict[str, str] = Field(default_factory=dict, description="what it was computed on; empty: not recorded")


class DrawnRows(Record):
    """Numbers of a shard's rows to score and, among them, of those to measure the controls on; None: all."""

    scored: tuple[int, ...] | None = None
    compared: tuple[int, ...] | None = None


class ScoringPlan(Record):
    """What all shards of one table are scored by."""

    key: str = Field(description="identity of the scores: attribution tables, how content is removed, settings of the scoring")
    parity: tuple[ShardResult, ...] = Field(description="the first shards with explained rows: every scorer is checked on these")


class ScoredShard(TableShard):
    """The scored rows of one shard of the attribution table: what the task passes on instead of the data.

    `n_rows` counts the shard's rows, those without an attribution too; the table has a line for each of the others.
    """

    n_skipped: int = Field(description="rows without an attribution")
    segments: tuple[str, ...] = Field(description="segment columns of its rows, in the order in which they first occur")
    problem_type: str = Field(description="what the logits of the scorer mean")
    scorer: ScorerRecord
