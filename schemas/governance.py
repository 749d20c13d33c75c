"""GovernanceReport: the record of one explanation of one model version.

Older versions of the record are brought up to this one in `schemas.published`; the JSON Schema is in `record.schema.json`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import Interval, Record, Verdict
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.fusion import FusionChoice, fusion_name
from schemas.probe import ProbeReport
from schemas.quality import QualityReport
from schemas.release import DatasetRef, ModelSnapshot

SCHEMA_VERSION: Literal["3"] = "3"


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
    coverage: float | None = Field(description="share of the text's tokens that were read and explained; higher is better")
    n_truncated: int = Field(description="rows cut at the model's limit")
    n_windowed: int = Field(default=0, description="rows beyond the model's limit, explained in several windows")
    split: str | None = Field(description="which split the rows are, as the settings state it; None: not stated")
    sampling: str = Field(description="how the rows were taken from the file")
    segments: dict[str, dict[str, int]] = Field(description="explained rows per value of each segment column")


class MethodRecord(Record):
    """How the attributions were computed, as resolved for this model."""

    method: Literal["CA-LIG"] = "CA-LIG"
    source: str = "arXiv 2602.16608; equations: this project's reading"
    formula_version: str
    fingerprint: str = Field(description="digest of all that changes attribution values; versions compare only when equal")
    baseline: str = Field(description="resolved baseline, e.g. [MASK] tokens")
    target: str
    objective: str = Field(default="logit", description="what is explained of a class; see attribution.objective")
    fusion_rule: str = "rollout"
    fusion_coefficient: float
    context_rule: str
    fusion_choice: FusionChoice | None = Field(default=None, description="None: set in the configuration")
    dtype: str
    device: str
    attention_kernel: str
    n_layers: int
    mean_points: float = Field(description="gradient evaluations per row and layer, mean")
    points: str = Field(description="how path points were chosen, and the error allowed")
    seed: int = Field(description="of everything drawn at random: controls, bootstrap, perturbations")
    long_texts: str = Field(
        default="cut at the model's limit", description="what becomes of texts beyond the limit, and which function is explained"
    )
    special_tokens: str = "kept as their own line; needed for completeness"

    @property
    def fusion(self) -> str:
        """The fusion's name, if it has one, and its parts."""
        return fusion_name(self.fusion_rule, self.fusion_coefficient, self.context_rule)


class LabelResults(Record):
    """How a multi-label model decided one of its labels, on the rows whose labels are known; each row of the file once."""

    label: str
    n: int = Field(description="rows")
    n_gold: int = Field(description="of these, rows that have the label")
    accuracy: float = Field(description="rows that are decided as they are labelled; higher is better")
    precision: float | None = Field(description="of the rows that it is given, those that have it; None: it is given to none")
    recall: float | None = Field(description="of the rows that have it, those that it is given; None: none has it")


class RegressionResults(Record):
    """How a regression did, in the unit of its output, on the rows whose number is known."""

    mean_absolute_error: float = Field(description="lower is better")
    mean_absolute_error_interval: Interval | None = Field(description="bootstrap over rows; None with fewer than two")
    root_mean_squared_error: float = Field(description="lower is better")
    r_squared: float | None = Field(
        description="1 − squared error over that of the rows' mean number; below 0 the mean does better; None: all numbers equal"
    )
    n: int


class Outputs(Record):
    """The outputs of a regression over the explained rows, in their unit."""

    least: float
    percentile_5: float
    median: float
    percentile_95: float
    largest: float
    typical_deviation: float = Field(description="median distance from the median: the unit of effects on this model")


class ModelResults(Record):
    """How the model itself did on these rows."""

    accuracy: float | None = Field(
        description="share of right decisions, one per row, of a multi-label model one per row and label; None without gold "
        "labels, and for a regression; higher is better"
    )
    accuracy_interval: Interval | None = Field(
        description="Wilson's, of several decisions per row by bootstrap over rows, at the level of the quality settings; None "
        "without labels"
    )
    n_labelled: int = Field(description="rows whose gold answer is known")
    labels: tuple[LabelResults, ...] = Field(
        default=(), description="of a multi-label model, in logit order; empty: no gold labels"
    )
    regression: RegressionResults | None = Field(default=None, description="None: classes, or no gold number")
    outputs: Outputs | None = Field(default=None, description="None: classes")
    unconverged: int | None = Field(description="explained rows beyond the tolerance in some layer; None: not recorded")
    predictions: dict[str, int] = Field(description="rows per predicted class; empty for a regression")


class Environment(Record):
    """What the run ran on."""

    python: str
    platform: str
    device: str
    libraries: dict[str, str]
    device_versions: dict[str, str] = Field(description="processor or GPU, its kernels and its driver; empty: not recorded")


class TableDigest(Record):
    """One attribution table and the digest of what it says, whatever its container looks like."""

    file: str = Field(description="path beside the record")
    n_rows: int
    values_sha256: str = Field(description="SHA-256 over the values of all columns but `image` (components.table.value_digest)")


class Clause(Record):
    """One clause of a regulation or standard: which fields of this record speak to it, and what nobody but the user can add."""

    name: str
    asks: str
    fields: tuple[str, ...] = Field(description="paths in this record")
    section: str = Field(description="anchor of the report")
    not_covered: str = Field(description="what the organisation has to add")


class Decision(Record):
    """The verdict and the rule that led to it."""

    verdict: Verdict
    reasons: tuple[str, ...] = Field(description="why, most important first")
    next_step: str
    rule: str = "fail if any part fails; else inconclusive if any part could not be judged; else pass"
    fired: Literal["a part failed", "a part could not be judged", "no part failed"] = Field(description="branch of the rule")
    owner: str | None = Field(default=None, description="who answers for the model, as the settings state it; None: not stated")
    signing_key: str | None = Field(
        default=None, description="id of the key that the seal beside this record is signed with; None: unsigned"
    )
    sign_off: str = "signed entries in signoff/ beside this record; the record itself is never changed"


class GovernanceReport(Record):
    """The record published as `calig/record.json`."""

    schema_version: Literal["3"] = SCHEMA_VERSION
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
    evidence: tuple[TableDigest, ...] = Field(description="the attribution tables; empty in records made before version 2")
    environment: Environment
    stage_seconds: dict[str, float] = Field(description="wall time per stage, s")
    peak_memory_bytes: int
    limits: tuple[str, ...]
    scope: str | None = Field(description="what the model is meant for, as the settings state it; None: not stated")
    failure_modes: tuple[str, ...] = Field(description="known ways in which the explanation itself can mislead")
    crosswalk: tuple[Clause, ...] = Field(description="where a clause's evidence is; no statement of conformity")
    chosen_by: dict[str, str] = Field(
        default={},
        description="who chose dataset, config and reference: command line, watch file, a tag, the default; empty: not recorded",
    )
