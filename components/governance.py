"""Put the findings of all steps into one governance record, and decide."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.memory import peak_resident_bytes
from schemas.attribution import ShardResult
from schemas.base import CheckVerdict, Severity, Verdict
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.fusion import FusionChoice
from schemas.governance import (
    DataRecord,
    Decision,
    Environment,
    GovernanceReport,
    MethodRecord,
    ModelResults,
    SkippedRow,
)
from schemas.probe import ProbeReport
from schemas.quality import Check, QualityReport, ScorerRecord, in_words
from schemas.release import DatasetRef, ModelSnapshot

_SKIPPED_LISTED = 50
_COLUMNS = ["row", "id", "label", "problem", "predicted", "coverage", "n_points"]
_LIBRARIES = ("torch", "transformers", "mlflow", "prefect", "onnxruntime-gpu", "great-expectations", "numpy", "calig")

LIMITS = (
    "An attribution says what this model's logit responded to along one path from one baseline; it is no causal claim.",
    "Attribution drift sees only words that the data set contains; beyond it the vocabulary probe looks at single known "
    "words, not at phrases, style or layout.",
    "The equations are this project's own reading of CA-LIG (arXiv 2602.16608).",
    "Relevance on special tokens is kept and shown apart: it is part of the sum, but no word of the input.",
)


def build_record(  # noqa: PLR0913 - the record has this many sources; all are keyword-only
    *,
    fingerprint: str,
    formula_version: str,
    method_fingerprint: str,
    model: ModelSnapshot,
    dataset: DatasetRef,
    shards: Sequence[ShardResult],
    config: PipelineConfig,
    fusion_choice: FusionChoice | None,
    quality: QualityReport,
    drift: DriftReport,
    probe: ProbeReport | None,
    stage_seconds: dict[str, float],
    created_at: datetime,
) -> GovernanceReport:
    """The record of one explanation, from what the steps returned and the attribution tables they wrote."""
    table = pa.concat_tables([pq.read_table(shard.path, columns=_COLUMNS) for shard in shards]).to_pylist()
    explained = [row for row in table if row["problem"] is None]
    return GovernanceReport(
        created_at=created_at,
        fingerprint=fingerprint,
        model=model,
        data=_data(dataset, table, explained),
        method=_method(formula_version, method_fingerprint, shards, explained, config, fusion_choice),
        config=config,
        results=_results(explained),
        quality=quality,
        drift=drift,
        probe=probe,
        decision=decide(quality, drift, probe),
        environment=_environment(shards[0].device),
        stage_seconds={name: round(s, 2) for name, s in stage_seconds.items()},
        peak_memory_bytes=peak_resident_bytes(),
        limits=LIMITS,
    )


def decide(quality: QualityReport, drift: DriftReport, probe: ProbeReport | None = None) -> Decision:
    """Fail if any part fails; else inconclusive if any part could not be judged; else pass.

    The reasons are what led there: what went well is no reason for a failure.
    """
    comparisons = {"attribution drift": drift} | ({} if probe is None else {"vocabulary probe": probe})
    verdicts = {quality.verdict, *(part.verdict for part in comparisons.values())}
    failing = [c for c in quality.checks if c.verdict is CheckVerdict.FAIL and c.severity is Severity.CRITICAL]
    unsure = [c for c in quality.checks if c.verdict is CheckVerdict.INCONCLUSIVE and c.severity is Severity.CRITICAL]
    reasons = [f"attribution quality: {_in_words(c)}" for c in (*failing, *unsure)]
    found = {v: [f"{name}: {part.reason}" for name, part in comparisons.items() if part.verdict is v] for v in CheckVerdict}
    reasons = [*found[CheckVerdict.FAIL], *reasons, *found[CheckVerdict.INCONCLUSIVE]]
    if CheckVerdict.FAIL in verdicts:
        return Decision(
            verdict=Verdict.FAIL, reasons=tuple(reasons), next_step=_step_after_failure(comparisons.values(), failing)
        )
    if CheckVerdict.INCONCLUSIVE in verdicts:
        steps = [part.next_step for part in comparisons.values() if part.verdict is CheckVerdict.INCONCLUSIVE]
        step = next(iter(steps), "mend what could not be judged, then explain the version again")
        return Decision(verdict=Verdict.INCONCLUSIVE, reasons=tuple(reasons), next_step=step)
    return Decision(
        verdict=Verdict.PASS,
        reasons=(_held(quality), *found[CheckVerdict.PASS], *found[CheckVerdict.NOT_APPLICABLE]),
        next_step="nothing: this version may ship as far as its reasons go",
    )


def _held(quality: QualityReport) -> str:
    """What a pass rests on; checks that were not made are not counted in."""
    n, made = len(quality.checks), sum(c.verdict in {CheckVerdict.PASS, CheckVerdict.FAIL} for c in quality.checks)
    share = f"all {n}" if made == n else f"{made} of {n}"
    return f"attribution quality: {share} checks of suite {quality.suite!r} were made, no critical one failed"


def unjudged_quality(suite: str, reason: str) -> QualityReport:
    """The quality report of a run whose quality could not be measured: inconclusive, with the reason as its only check."""
    check = Check(
        name="the quality measurement",
        expectation="none",
        verdict=CheckVerdict.INCONCLUSIVE,
        severity=Severity.CRITICAL,
        observed=None,
        requirement="every perturbed input can be scored and every expectation evaluated",
        explanation=reason,
    )
    scorer = ScorerRecord(runtime="none", providers=())
    return QualityReport(
        verdict=CheckVerdict.INCONCLUSIVE, suite=suite, metrics=(), controls=(), curves=(), checks=(check,), scorer=scorer
    )


def _in_words(check: Check) -> str:
    if check.verdict is CheckVerdict.INCONCLUSIVE:
        why = check.observed if isinstance(check.observed, str) else check.explanation or check.requirement
        return f"{check.name} could not be judged ({why})"
    return f"{check.name}: {in_words(check.observed)}, required {check.requirement}"


def _step_after_failure(comparisons: Iterable[DriftReport | ProbeReport], failing: Sequence[Check]) -> str:
    steps = [part.next_step for part in comparisons if part.verdict is CheckVerdict.FAIL]
    if steps:
        return steps[0]
    return failing[0].explanation or "open the report and look at the failed checks"


def _data(dataset: DatasetRef, table: list[dict[str, Any]], explained: list[dict[str, Any]]) -> DataRecord:
    skipped = [SkippedRow(id=row["id"], row=row["row"], problem=row["problem"]) for row in table if row["problem"] is not None]
    coverage = [row["coverage"] for row in explained]
    return DataRecord(
        dataset=dataset,
        n_explained=len(explained),
        n_skipped=len(skipped),
        skipped=tuple(skipped[:_SKIPPED_LISTED]),
        coverage=float(np.mean(coverage)) if coverage else None,
        n_truncated=sum(c < 1.0 for c in coverage),
    )


def _method(
    formula_version: str,
    fingerprint: str,
    shards: Sequence[ShardResult],
    explained: list[dict[str, Any]],
    config: PipelineConfig,
    fusion_choice: FusionChoice | None,
) -> MethodRecord:
    points = [n for row in explained for n in row["n_points"]]
    settings, fusion = config.attribution, config.attribution.fusion
    return MethodRecord(
        formula_version=formula_version,
        fingerprint=fingerprint,
        baseline=shards[0].baseline,
        target=settings.target,
        fusion_rule=fusion.rule,
        fusion_coefficient=fusion.coefficient,
        context_rule=fusion.context_rule,
        fusion_choice=fusion_choice,
        dtype=settings.dtype,
        device=shards[0].device,
        attention_kernel=shards[0].attention_kernel,
        n_layers=len(explained[0]["n_points"]) if explained else 0,
        mean_points=float(np.mean(points)) if points else 0.0,
    )


def _results(explained: list[dict[str, Any]]) -> ModelResults:
    labelled = [row for row in explained if row["label"] is not None]
    right = sum(row["predicted"] == row["label"] for row in labelled)
    return ModelResults(
        accuracy=right / len(labelled) if labelled else None,
        n_labelled=len(labelled),
        predictions=dict(sorted(Counter(row["predicted"] for row in explained).items())),
    )


def _environment(device: str) -> Environment:
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        libraries={name: _version(name) for name in _LIBRARIES},
    )


def _version(library: str) -> str:
    try:
        return version(library)
    except ModuleNotFoundError:
        return "not installed"
