"""Sections of the record that are computed from the attribution tables: data, method and the model's results."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

import numpy as np
from scipy.stats import binomtest

from components.table.rows import is_wrong
from schemas.attribution import ShardResult
from schemas.base import Interval
from schemas.config import AttributionConfig, PipelineConfig
from schemas.fusion import FusionChoice
from schemas.governance import DataRecord, MethodRecord, ModelResults, SkippedRow
from schemas.release import DatasetRef


class Row(TypedDict):
    """The columns of the attribution table that these sections need; all but the first five are None beside a problem."""

    row: int
    id: str
    label: str | None
    segments: dict[str, str] | None
    problem: str | None
    predicted: str
    coverage: float
    n_points: list[int]
    converged: bool
    objective: str


_SKIPPED_LISTED = 50


def data_record(dataset: DatasetRef, table: list[Row], explained: list[Row], split: str | None) -> DataRecord:
    """Which rows were explained and which were not; `split` is what the settings state."""
    skipped = [SkippedRow(id=row["id"], row=row["row"], problem=row["problem"]) for row in table if row["problem"] is not None]
    coverage = [row["coverage"] for row in explained]
    return DataRecord(
        dataset=dataset,
        n_explained=len(explained),
        n_skipped=len(skipped),
        skipped=tuple(skipped[:_SKIPPED_LISTED]),
        coverage=float(np.mean(coverage)) if coverage else None,
        n_truncated=sum(c < 1.0 for c in coverage),
        split=split,
        sampling="all rows of the file" if dataset.limit is None else f"the first {dataset.limit} rows of the file",
        segments=_segments(dataset.segment_columns, explained),
    )


def _segments(columns: tuple[str, ...], explained: list[Row]) -> dict[str, dict[str, int]]:
    values = {column: Counter((row["segments"] or {}).get(column) for row in explained) for column in columns}
    return {column: {str(value): n for value, n in found.items() if value is not None} for column, found in values.items()}


def method_record(
    formula_version: str,
    fingerprint: str,
    shard: ShardResult,
    explained: list[Row],
    config: PipelineConfig,
    fusion_choice: FusionChoice | None,
) -> MethodRecord:
    """How the attributions were computed: as set, and as resolved for this model on this device."""
    points = [n for row in explained for n in row["n_points"]]
    settings, fusion = config.attribution, config.attribution.fusion
    return MethodRecord(
        formula_version=formula_version,
        fingerprint=fingerprint,
        baseline=shard.baseline,
        target=settings.target,
        objective=_objective(explained, settings),
        fusion_rule=fusion.rule,
        fusion_coefficient=fusion.coefficient,
        context_rule=fusion.context_rule,
        fusion_choice=fusion_choice,
        dtype=settings.dtype,
        device=shard.device,
        attention_kernel=shard.attention_kernel,
        n_layers=len(explained[0]["n_points"]) if explained else 0,
        mean_points=float(np.mean(points)) if points else 0.0,
        points=_points(settings),
        seed=config.quality.seed,
    )


def _objective(explained: list[Row], settings: AttributionConfig) -> str:
    """As resolved for this model: independent outputs have their logit explained, whatever the settings say."""
    return ", ".join(sorted({row["objective"] for row in explained})) or settings.objective


def _points(settings: AttributionConfig) -> str:
    if settings.n_points is not None:
        return f"{settings.n_points} Gauss-Legendre points for every row and layer"
    share = f"{settings.tolerance:g} of |f(x) − f(x')|"
    return f"chosen by need, at most {settings.max_points} per row and layer, error allowed {share}"


def model_results(explained: list[Row], confidence: float) -> ModelResults:
    """How the model did on the explained rows; the interval of the accuracy covers `confidence`."""
    labelled = [row for row in explained if row["label"] is not None]
    right = sum(not is_wrong(row["label"], row["predicted"]) for row in labelled)
    return ModelResults(
        accuracy=right / len(labelled) if labelled else None,
        accuracy_interval=_share_interval(right, len(labelled), confidence),
        n_labelled=len(labelled),
        unconverged=sum(not row["converged"] for row in explained),
        predictions=dict(sorted(Counter(row["predicted"] for row in explained).items())),
    )


def _share_interval(k: int, n: int, confidence: float) -> Interval | None:
    """Wilson's interval of a share; None without rows."""
    if not n:
        return None
    interval = binomtest(k, n).proportion_ci(confidence, method="wilson")
    return Interval(low=float(interval.low), high=float(interval.high), level=confidence)
