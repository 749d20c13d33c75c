"""Memory of the steps after attribution as rows grow: real tables of the tiny model, repeated to any length."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calig.batching import return_memory
from calig.metrics.perturbation import Perturbation, PerturbedInput
from components import attribution, drift, governance, quality, report
from schemas.attribution import SCHEMA, ShardResult
from schemas.config import AttributionConfig, PipelineConfig, QualityConfig
from schemas.governance import GovernanceReport
from schemas.quality import ScorerRecord
from schemas.reference import ReferenceIdentity, ReferenceProfile
from schemas.release import DatasetRef, Example, ModelSnapshot
from tests.benchmarks.machine import peak_memory_increase
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_bert

STAGES = ("quality", "drift", "record", "report")
_SHARD = 256


def measure_stage(stage: str, examples: list[Example], n: int) -> dict[str, Any]:
    """Seconds and most bytes beyond those held before `stage` begins, on `n` rows that repeat `examples`."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        snapshot = snapshot_of(save_tiny_bert(folder / "model"))
        shards = _tables(snapshot, examples, n, folder / "tables")
        work = _work(stage, snapshot, shards, folder)
        gc.collect()
        return_memory()  # else what was freed before would be used again unseen
        started = perf_counter()
        peak = peak_memory_increase(work, "cpu")
        return {"stage": stage, "rows": n, "seconds": perf_counter() - started, "peak_increase_mb": peak / 1e6}


def _tables(snapshot: ModelSnapshot, examples: list[Example], n: int, folder: Path) -> list[ShardResult]:
    """Shards of `n` rows: one explained by the engine, and its rows again and again under other numbers and ids."""
    config = AttributionConfig(device="cpu")
    first = attribution.explain_shard(snapshot, examples[:_SHARD], config, index=0, path=folder / "00000.parquet")
    explained, shards = pq.read_table(first.path), []
    for index, start in enumerate(range(0, n, _SHARD)):
        numbers = list(range(start, min(start + _SHARD, n)))
        part = explained.slice(0, len(numbers))
        part = part.set_column(0, SCHEMA.field("row"), pa.array(numbers, pa.int64()))
        part = part.set_column(1, SCHEMA.field("id"), pa.array([str(number) for number in numbers]))
        path = folder / f"{index:05d}.parquet"
        pq.write_table(part.cast(SCHEMA), path, compression="zstd")
        shards.append(first.model_copy(update={"index": index, "path": path, "n_rows": len(numbers)}))
    return shards


def _work(stage: str, snapshot: ModelSnapshot, shards: list[ShardResult], folder: Path) -> Callable[[], object]:
    tables = [shard.path for shard in shards]
    if stage == "quality":
        return lambda: _quality(tables, snapshot)
    if stage == "drift":
        return lambda: _drift(tables, snapshot)
    _drift(tables[:1], snapshot)  # what libraries need once is not what grows
    if stage == "record":
        return lambda: _record(snapshot, shards)
    record = _record(snapshot, shards)
    return lambda: report.build(record, tables, None, path=folder / "report.html")


class _Answers:
    """Stands for the model: it is no part of what is measured here, and its memory does not depend on the number of rows."""

    def __call__(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        share = np.array([np.mean(given.input_ids) / 200 for given in inputs])
        return np.stack([share, 1 - share], axis=1)

    def logits(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        return np.log(self(inputs))


def _quality(tables: list[Path], snapshot: ModelSnapshot) -> object:
    return quality.evaluate(
        tables,
        labels=snapshot.labels,
        scorer=_Answers(),
        scorer_record=ScorerRecord(runtime="none", providers=()),
        config=QualityConfig(suite="default", falsification_rows=0, infidelity_draws=4, random_draws=1, bootstrap_draws=100),
        perturbation=Perturbation(kind="replace", replacement_id=4),
    )


def _drift(tables: list[Path], snapshot: ModelSnapshot) -> object:
    identity = ReferenceIdentity(name="tiny", version="1", method_fingerprint="m", weights_digest="w")
    fusion = AttributionConfig().fusion
    before = ReferenceProfile(identity=identity, dataset_digest="d", labels=snapshot.labels, fusion=fusion, tables=tuple(tables))
    found = drift.compare(
        tables,
        before,
        method_fingerprint="m",
        dataset_digest="d",
        labels=snapshot.labels,
        config=PipelineConfig(),
        decided_on="2026-01-01",
    )
    if found.n_paired == 0:
        raise RuntimeError(found.reason)
    return found


def _record(snapshot: ModelSnapshot, shards: list[ShardResult]) -> GovernanceReport:
    n = sum(shard.n_rows for shard in shards)
    data = DatasetRef(
        name="tiny", path=Path("tiny.jsonl"), digest="d", n_rows=n, modality="text", has_labels=False, has_rationales=False
    )
    return governance.build_record(
        fingerprint="f",
        formula_version=attribution.formula_version(),
        method_fingerprint="m",
        model=snapshot,
        dataset=data,
        shards=shards,
        config=PipelineConfig(),
        fusion_choice=None,
        quality=governance.unjudged_quality("default", "not measured here"),
        drift=drift.not_applicable("not measured here"),
        probe=None,
        stage_seconds={},
        created_at=datetime.now(UTC),
    )
