"""GovernanceReport: everything a reviewer needs about one explanation of one model version, as one record."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import Record, Verdict
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.fusion import FusionChoice
from schemas.notebook import record_html
from schemas.probe import ProbeReport
from schemas.quality import QualityReport
from schemas.release import DatasetRef, ModelSnapshot


class SkippedRow(Record):
    """A row that has no attribution, and why."""

    id: str
    row: int
    problem: str


class DataRecord(Record):
    """Which rows were explained, and how much of each."""

    dataset: DatasetRef
    n_explained: int
    n_skipped: int
    skipped: tuple[SkippedRow, ...] = Field(default=(), description="at most 50 of them")
    coverage: float | None = Field(description="share of the text's tokens that fit into the model; higher is better")
    n_truncated: int = Field(description="rows longer than the model's limit")


class MethodRecord(Record):
    """How the attributions were computed, as resolved for this model."""

    method: Literal["CA-LIG"] = "CA-LIG"
    source: str = "arXiv 2602.16608; equations: this project's reading"
    formula_version: str
    fingerprint: str = Field(description="digest of all that changes attribution values; versions compare only when equal")
    baseline: str = Field(description="resolved baseline, e.g. [MASK] tokens")
    target: str
    fusion_rule: str = "rollout"
    fusion_coefficient: float
    context_rule: str
    fusion_choice: FusionChoice | None = Field(default=None, description="None: set in the configuration")
    dtype: str
    device: str
    attention_kernel: str
    n_layers: int
    mean_points: float = Field(description="gradient evaluations per row and layer, mean")
    special_tokens: str = "kept as their own line; needed for completeness"


class ModelResults(Record):
    """How the model itself did on these rows."""

    accuracy: float | None = Field(description="None without gold labels; higher is better")
    n_labelled: int
    predictions: dict[str, int] = Field(description="rows per predicted class")


class Environment(Record):
    """What the run ran on."""

    python: str
    platform: str
    device: str
    libraries: dict[str, str]


class Decision(Record):
    """The verdict and the rule that led to it."""

    verdict: Verdict
    reasons: tuple[str, ...] = Field(description="why, most important first")
    next_step: str
    rule: str = "fail if any part fails; else inconclusive if any part could not be judged; else pass"


class GovernanceReport(Record):
    """The record published as `calig/record.json`."""

    schema_version: Literal["1"] = "1"
    created_at: datetime
    fingerprint: str = Field(description="identity of this explanation: model, data, config, reference")
    model: ModelSnapshot
    data: DataRecord
    method: MethodRecord
    config: PipelineConfig
    results: ModelResults
    quality: QualityReport
    drift: DriftReport
    probe: ProbeReport | None = Field(default=None, description="words beyond the data set; None in records made before it was")
    decision: Decision
    environment: Environment
    stage_seconds: dict[str, float] = Field(description="wall time per stage, s")
    peak_memory_bytes: int
    limits: tuple[str, ...]

    def _repr_html_(self) -> str:
        """How notebooks show it."""
        return record_html(self)
