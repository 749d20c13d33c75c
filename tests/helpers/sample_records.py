"""Realistic governance records with their attribution tables: a first release, a drifted version, an image model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.governance import crosswalk
from components.table.value_digest import values_digest
from schemas.base import CheckVerdict, Interval, Verdict
from schemas.config import PipelineConfig, ReportConfig
from schemas.drift import DriftReport
from schemas.governance import (
    DataRecord,
    Decision,
    Environment,
    GovernanceReport,
    MethodRecord,
    ModelResults,
    SkippedRow,
    TableDigest,
)
from schemas.quality import QualityReport
from schemas.release import DatasetRef, ModelSnapshot, ModelSource, RegisteredVersion
from tests.helpers import sample_drift, sample_probe, sample_quality, sample_tables


@dataclass(frozen=True)
class Sample:
    """A record and the tables it was made from."""

    record: GovernanceReport
    tables: list[Path]
    reference_tables: list[Path] | None

    def with_record(self, **changes: Any) -> Sample:
        """The same tables with fields of the record replaced."""
        return replace(self, record=self.record.model_copy(update=changes))


def first_release(folder: Path, *, n: int = 60, labelled: bool = True) -> Sample:
    """A text model that passes; nothing to compare with."""
    rows = sample_tables.reviews(n, 1)
    table = sample_tables.text_table(folder / "candidate.parquet", rows, seed=2, boost={}, labelled=labelled)
    drift = DriftReport(
        verdict=CheckVerdict.NOT_APPLICABLE, reason="This model has no earlier accepted version with an explanation."
    )
    decision = Decision(
        verdict=Verdict.PASS,
        fired="no part failed",
        reasons=("All critical quality checks passed.", "There is no reference version, so drift was not judged."),
        next_step="Move the alias “champion” to this version; the next version will be compared with it.",
    )
    return Sample(
        _record(folder, table, "text", drift, decision, sample_quality.quality(fails=False), version="1"), [table], None
    )


def drifted(folder: Path, *, n: int = 160) -> Sample:
    """A text model that answers as before but leans on the planted word "btw"."""
    rows = sample_tables.reviews(n, 1, planted="btw")
    reference = sample_tables.text_table(folder / "reference.parquet", rows, seed=2, boost={})
    table = sample_tables.text_table(folder / "candidate.parquet", rows, seed=3, boost={"btw": 3.2, "twice": 0.5}, flips=True)
    drift = sample_drift.drift(pq.read_table(reference).to_pylist()[:-1], pq.read_table(table).to_pylist()[:-1])
    shift = drift.word_shifts[0]
    reasons = (
        f"The word “{shift.word}” now carries {shift.candidate_share:.0%} of the evidence for {shift.toward} where it occurs "
        f"(before: {shift.reference_share:.0%}; z = {shift.z:.1f}, limit 6).",
        "All critical quality checks passed, so the explanations can be trusted on this point.",
    )
    next_step = "Look at the training rows that contain “btw”: if the word leaked the label, remove it and retrain."
    decision = Decision(verdict=Verdict.FAIL, fired="a part failed", reasons=reasons, next_step=next_step)
    record = _record(folder, table, "text", drift, decision, sample_quality.quality(fails=False), version="4")
    probed = sample_probe.probe(record.model.labels)
    return Sample(record.model_copy(update={"probe": probed}), [table], [reference])


def pictures(folder: Path, *, n: int = 8) -> Sample:
    """An image model; one check could not be judged, and input × gradient beats CA-LIG."""
    table = sample_tables.image_table(folder / "images.parquet", folder, n, seed=4)
    reason = "The reference version was explained with another method (λ 0.25 instead of 0.1)."
    drift = DriftReport(verdict=CheckVerdict.INCONCLUSIVE, reason=reason, next_step="Explain the reference version again.")
    decision = Decision(
        verdict=Verdict.INCONCLUSIVE,
        fired="a part could not be judged",
        reasons=("Drift could not be judged: the reference was explained with another method.", "One warning check failed."),
        next_step="Explain the reference version again with the settings of this run, then repeat.",
    )
    return Sample(
        _record(folder, table, "image", drift, decision, sample_quality.quality(fails=True), version="2"), [table], None
    )


def _record(
    folder: Path, table: Path, modality: Any, drift: DriftReport, decision: Decision, quality: QualityReport, *, version: str
) -> GovernanceReport:
    rows = pq.read_table(table).to_pylist()
    explained = [row for row in rows if row["problem"] is None]
    labelled = [row for row in explained if row["label"] is not None]
    right = sum(row["label"] == row["predicted"] for row in labelled)
    text = modality == "text"
    return GovernanceReport(
        created_at=datetime(2026, 11, 2, 14, 3, tzinfo=UTC),
        fingerprint="9f2c" * 16,
        model=_model(folder, modality, version),
        data=DataRecord(
            dataset=DatasetRef(
                name="review-validation" if text else "shapes-validation",
                path=folder / "rows.jsonl",
                digest="d1" * 32,
                n_rows=len(rows),
                modality=modality,
                has_labels=bool(labelled),
                has_rationales=False,
                segment_columns=("source",) if text else (),
            ),
            n_explained=len(explained),
            n_skipped=1,
            skipped=(SkippedRow(id="empty", row=len(rows) - 1, problem="the text is empty"),),
            coverage=0.994 if text else None,
            n_truncated=2 if text else 0,
            split="validation",
            sampling="all rows of the file",
            segments={"source": {"critics": 100, "audience": 50}} if text else {},
        ),
        method=MethodRecord(
            formula_version="1",
            fingerprint="ab" * 32,
            baseline="[MASK] tokens" if text else "zero image",
            target="predicted",
            fusion_coefficient=0.1,
            context_rule="positive",
            dtype="float32",
            device="cpu",
            attention_kernel="sdpa",
            n_layers=sample_tables.LAYERS,
            mean_points=11.3,
            points="chosen by need, at most 129 per row and layer, error allowed 0.01 of |f(x) − f(x')|",
            seed=0,
        ),
        config=PipelineConfig(report=ReportConfig(examples=40)),  # type: ignore[call-arg]
        results=ModelResults(
            accuracy=right / len(labelled) if labelled else None,
            accuracy_interval=Interval(low=0.7, high=0.99) if labelled else None,
            n_labelled=len(labelled),
            unconverged=sum(not row["converged"] for row in explained),
            predictions=dict(Counter(row["predicted"] for row in explained)),
        ),
        quality=quality,
        drift=drift,
        decision=decision,
        evidence=(_digest(table),),
        environment=Environment(
            python="3.11.7",
            platform="Linux x86_64",
            device="cpu (2 cores)",
            libraries={"torch": "2.13.0", "transformers": "5.23.0", "onnxruntime": "1.31.1", "great_expectations": "1.24.1"},
            device_versions={"processor": "a processor", "threads": "2"},
        ),
        stage_seconds={"fetch": 2.4, "attribution": 143.0, "quality": 61.0, "drift": 1.2},
        peak_memory_bytes=2_400_000_000,
        limits=(
            "Attributions describe what the model's output depends on; they are not causes in the world.",
            "They hold for these rows; words and pictures outside the validation set are not covered.",
        ),
        scope=None,
        failure_modes=("The baseline may carry evidence of its own.",),
        crosswalk=crosswalk(),
    )


def _digest(table: Path) -> TableDigest:
    content = pq.read_table(table)
    return TableDigest(file="attributions/shard-000.parquet", n_rows=content.num_rows, values_sha256=values_digest(content))


def _model(folder: Path, modality: Any, version: str) -> ModelSnapshot:
    name, labels = ("review-sentiment", ("NEG", "POS")) if modality == "text" else ("shape-recogniser", ("square", "disc"))
    return ModelSnapshot(
        name=name,
        version=version,
        source=ModelSource.REGISTRY,
        uri=f"models:/{name}/{version}",
        alias="candidate",
        source_run_id="5ad0" * 8,
        model_id="m-77",
        registered=RegisteredVersion(created_ms=1_793_000_000_000, source="models:/m-77", run_id="5ad0" * 8, model_id="m-77"),
        model_path=folder,
        processor_path=folder,
        weights_digest="c0ffee" * 10 + "0000",
        processor_digest="beef" * 16,
        model_type="bert" if modality == "text" else "vit",
        modality=modality,
        labels=labels,
    )
