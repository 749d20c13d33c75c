"""Time and memory of the steps around attribution as rows grow: real tables of the tiny model, repeated to any length."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from math import log
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from calig.batching import return_memory
from components import attribution, datasets, drift, governance, quality, report, scoring
from components.common.memory import peak_resident_bytes
from schemas.attribution import SCHEMA
from schemas.config import AttributionConfig, MonitorConfig, PipelineConfig, QualityConfig
from schemas.governance import GovernanceReport
from schemas.reference import ReferenceIdentity, ReferenceProfile
from schemas.release import DatasetRef, Example, ModelSnapshot
from schemas.shards import DrawnRows, ScoredShard, ShardResult
from tests.benchmarks.machine import peak_memory_increase
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_bert

STAGES = ("reading", "scoring", "quality", "drift", "monitor", "record", "report")
#: Steps that take so long for a row that they are measured on a tenth of the rows.
SLOW_STAGES = {"scoring"}
_SHARD = 256


def prepare(examples: list[Example], n: int, folder: Path) -> None:
    """The tiny model, a data set of `n` rows that repeat `examples`, and its tables: what all stages start from."""
    snapshot = snapshot_of(save_tiny_bert(folder / "model"))
    _tables(snapshot, examples, n, folder)
    texts, labels = [example.text for example in examples], snapshot.labels
    cycled = ((texts[i % len(texts)], labels[i % 2], "ab"[i % 2]) for i in range(n))
    rows = ({"id": str(i), "text": text, "label": label, "site": site} for i, (text, label, site) in enumerate(cycled))
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def measure_stage(stage: str, folder: Path, n: int) -> dict[str, Any]:
    """Seconds, and most bytes beyond those held before `stage` begins and at all, on the `n` rows in `folder`."""
    work = _work(stage, folder)
    gc.collect()
    return_memory()  # else what was freed before would be used again unseen
    started, worked = perf_counter(), process_time()
    peak = peak_memory_increase(work, "cpu")
    return {
        "stage": stage,
        "rows": n,
        "seconds": perf_counter() - started,
        "cpu_seconds": process_time() - worked,
        "peak_increase_mb": peak / 1e6,
        "peak_mb": peak_resident_bytes() / 1e6,
    }


def exponents(cases: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """By stage from the smallest to the largest number of rows: the exponent of processor seconds, and the ratio of peaks.

    Time is proportional to rows to the power of the exponent; 1: linear. Of the peaks beyond what was held before, and of all.
    """
    found = {}
    for stage in dict.fromkeys(case["stage"] for case in cases):
        some = sorted((case for case in cases if case["stage"] == stage and "cpu_seconds" in case), key=lambda case: case["rows"])
        if len(some) > 1:
            first, last = some[0], some[-1]
            found[stage] = {
                "exponent": log(last["cpu_seconds"] / first["cpu_seconds"]) / log(last["rows"] / first["rows"]),
                "peak_increase_ratio": last["peak_increase_mb"] / first["peak_increase_mb"],
                "peak_ratio": last["peak_mb"] / first["peak_mb"],
            }
    return found


def _tables(snapshot: ModelSnapshot, examples: list[Example], n: int, folder: Path) -> None:
    """Shards of `n` rows: one explained by the engine, and its rows again and again under other numbers and ids."""
    config, tables = AttributionConfig(device="cpu"), folder / "tables"
    first = attribution.explain_shard(snapshot, examples[:_SHARD], config, index=0, path=tables / "000000.parquet")
    (folder / "shard.json").write_text(first.model_dump_json(), encoding="utf-8")
    explained = pq.read_table(first.path)
    for index, start in enumerate(range(0, n, _SHARD)):
        numbers = list(range(start, min(start + _SHARD, n)))
        part = explained.slice(0, len(numbers))
        part = part.set_column(0, SCHEMA.field("row"), pa.array(numbers, pa.int64()))
        part = part.set_column(1, SCHEMA.field("id"), pa.array([str(number) for number in numbers]))
        pq.write_table(part.cast(SCHEMA), tables / f"{index:06d}.parquet", compression="zstd")


def _shards(folder: Path) -> list[ShardResult]:
    first = ShardResult.model_validate_json((folder / "shard.json").read_text(encoding="utf-8"))
    tables = enumerate(sorted((folder / "tables").glob("*.parquet")))
    return [first.model_copy(update={"index": i, "path": path, "n_rows": pq.read_metadata(path).num_rows}) for i, path in tables]


def _work(stage: str, folder: Path) -> Callable[[], object]:
    snapshot, shards = snapshot_of(folder / "model"), _shards(folder)
    tables = [shard.path for shard in shards]
    if stage == "reading":
        return lambda: datasets.load(folder / "rows.jsonl", limit=None, labels=snapshot.labels, modality="text")
    if stage == "scoring":
        by, drawn = _scoring(tables[:1], snapshot, folder), quality.draw_rows(tables, QualityConfig())
        _score(0, tables[0], drawn[0], by, folder)  # what the runtime needs once is not what grows
        return lambda: [_score(index, table, drawn[index], by, folder) for index, table in enumerate(tables)]
    if stage == "quality":
        parts = list(_scored(shards, snapshot, folder))
        _judge(parts[:1], snapshot)
        return lambda: _judge(parts, snapshot)
    if stage in {"drift", "monitor"}:
        once = {"drift": _drift, "monitor": _monitor}[stage]
        once(tables[:1], snapshot)  # what libraries need once is not what grows
        return lambda: once(tables, snapshot)
    _drift(tables[:1], snapshot)
    if stage == "record":
        return lambda: _record(snapshot, shards)
    record = _record(snapshot, shards)
    return lambda: report.build(record, tables, None, path=folder / "report.html")


def _scoring(tables: list[Path], snapshot: ModelSnapshot, folder: Path) -> quality.Scoring:
    """The tiny model through ONNX Runtime, by the default settings."""
    settings = QualityConfig()
    removal = attribution.choose_perturbation(snapshot, AttributionConfig(device="cpu"), settings.perturbation)
    inputs = quality.sample_inputs(tables, limit=16, perturbation=removal)
    scorer, record = scoring.open_scorer(snapshot, runtime="onnxruntime", workspace=folder, parity_inputs=inputs)
    return quality.Scoring(snapshot.labels, scorer, record, settings, removal)


def _score(index: int, table: Path, drawn: DrawnRows, by: quality.Scoring, folder: Path) -> ScoredShard:
    once = replace(by, scorer=by.scorer.once())  # as a task does for its shard
    return quality.score_shard(table, drawn, once, index=index, path=folder / "scored" / f"{index:06d}.parquet")


def _scored(shards: list[ShardResult], snapshot: ModelSnapshot, folder: Path) -> Iterator[ScoredShard]:
    """Scored rows of all shards: of the first one, with controls on 100 rows, then its rows without them again and again."""
    table, by = shards[0].path, _scoring([shards[0].path], snapshot, folder)
    first = _score(0, table, DrawnRows(compared=tuple(range(100))), by, folder)
    yield first
    scored = pq.read_table(_score(1, table, DrawnRows(compared=()), by, folder).path)
    for index, start in enumerate(range(_SHARD, sum(shard.n_rows for shard in shards), _SHARD), start=1):
        numbers = list(range(start, start + shards[index].n_rows))
        part = scored.slice(0, len(numbers)).set_column(0, "row", pa.array(numbers, pa.int64()))
        part = part.set_column(1, "id", pa.array([str(number) for number in numbers]))
        path = folder / "scored" / f"{index:06d}.parquet"
        pq.write_table(part, path, compression="zstd")
        yield first.model_copy(update={"index": index, "path": path, "n_rows": len(numbers)})


def _judge(shards: list[ScoredShard], snapshot: ModelSnapshot) -> object:
    removal = attribution.choose_perturbation(snapshot, AttributionConfig(device="cpu"), "auto")
    return quality.judge(shards, modality="text", config=QualityConfig(suite="default"), perturbation=removal)


def _profile(tables: list[Path], snapshot: ModelSnapshot, digest: str) -> ReferenceProfile:
    identity = ReferenceIdentity(name="tiny", version="1", method_fingerprint="m", weights_digest="w")
    fusion = AttributionConfig().fusion
    return ReferenceProfile(identity=identity, dataset_digest=digest, labels=snapshot.labels, fusion=fusion, tables=tuple(tables))


def _monitor(tables: list[Path], snapshot: ModelSnapshot) -> object:
    windows = (_profile(tables, snapshot, digest) for digest in ("d", "e"))
    found = drift.monitor(*windows, names=("a", "b"), config=MonitorConfig(), decided_on="2026-01-01")
    if found.words_tested == 0:
        raise RuntimeError(found.reason)
    return found


def _drift(tables: list[Path], snapshot: ModelSnapshot) -> object:
    before = _profile(tables, snapshot, "d")
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
        signing_key=None,
        created_at=datetime.now(UTC),
    )
