"""The pipeline's steps as Prefect tasks: sets retries, caching and concurrency; components do the work.

Tasks pass paths and records, never models or tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE, CacheKeyFnPolicy

from components import attribution, datasets, quality, registry, scoring
from components.common.file_digests import note_digest, unchanged
from components.table.orientation import NamedTarget
from flows.common import progress
from flows.common.run_limits import RETRIES
from flows.execution import exchange, resources, scorers
from flows.execution.resources import gpu_slot
from flows.pipeline.dataset import examples_in, examples_of, sampled
from schemas.base import digest_of
from schemas.config import AttributionConfig, PipelineConfig
from schemas.fusion import FusionChoice
from schemas.governance import GovernanceReport
from schemas.planned_release import Release
from schemas.quality import Falsification, QualityReport
from schemas.release import DatasetRef, ModelRef, ModelSnapshot, PublishedRun
from schemas.shards import DrawnRows, ScoredShard, ScoringPlan, ShardResult

_FALSIFICATION_SETTINGS = {"falsification_rows", "falsification_points", "sensitivity_draws", "sensitivity_radius", "seed"}


def _kept_by(key: Callable[[Any, dict[str, Any]], str]) -> dict[str, Any]:
    """Settings of a task whose result is kept under its key, and not computed again for the same one, in whatever run."""
    return {"cache_policy": CacheKeyFnPolicy(cache_key_fn=key), "persist_result": True, "result_serializer": "json"}


def shard_key(_context: Any, parameters: dict[str, Any]) -> str:
    """The same model, data, settings and rows give the same shard, in whatever run."""
    release: Release = parameters["release"]
    return f"calig-shard-{release.attribution_key}-{parameters['index']:05d}"


def scored_key(_context: Any, parameters: dict[str, Any]) -> str:
    """The same attribution tables, scored in the same way, give the same scored rows, in whatever run."""
    release, plan = parameters["release"], parameters["plan"]
    return f"calig-scored-{release.attribution_key}-{plan.key}-{parameters['index']:05d}"


def fusion_key(_context: Any, parameters: dict[str, Any]) -> str:
    """The same model, data and settings lead to the same choice."""
    snapshot, dataset, config = (parameters[name] for name in ("snapshot", "dataset", "config"))
    identity = [snapshot.weights_digest, snapshot.processor_digest, dataset.digest, attribution.formula_version()]
    return f"calig-fusion-{digest_of([*identity, config.results_dump()])[:16]}"


def falsification_key(_context: Any, parameters: dict[str, Any]) -> str:
    """The same attributions and settings of the attempt give the same findings, in whatever run."""
    release: Release = parameters["release"]
    quality_settings = release.config.quality.model_dump(mode="json", include=_FALSIFICATION_SETTINGS)
    return f"calig-falsification-{release.attribution_key}-{digest_of(quality_settings)[:16]}"


@task(name="fetch model", cache_policy=NO_CACHE, **RETRIES)
def fetch_model(ref: ModelRef, workspace: Path) -> ModelSnapshot:
    """Download the version once, and identify it."""
    return registry.fetch(ref, workspace=workspace)


@task(name="read data set", cache_policy=NO_CACHE)
def read_dataset(path: Path, limit: int | None, snapshot: ModelSnapshot, settings: AttributionConfig) -> DatasetRef:
    """Check the data set row by row and pin it by digest; one without a row that can be explained is refused."""
    pinned, examples = datasets.load(
        path,
        limit=limit,
        labels=snapshot.labels,
        modality=snapshot.modality,
        per_label=attribution.per_label(settings, snapshot),
        label_kind=snapshot.label_kind,
    )
    datasets.require_usable(examples, path.name)
    return pinned


@task(
    name="explain shard",
    task_run_name="explain shard {index}",
    **_kept_by(shard_key),
    **RETRIES,
)
def explain_shard(release: Release, index: int) -> ShardResult:
    """Attribute one shard; a finished one is not computed again, in this run or a later one."""
    settings = release.config.attribution
    resources.prepare_worker(release.config.execution)
    advance = progress.advance_current()
    snapshot, examples = exchange.load_inputs(release, index)
    with exchange.open_table(release, release.shard_name(index)) as path, gpu_slot(settings):
        shard = attribution.explain_shard(snapshot, examples, settings, index=index, path=path, progress=advance)
    return shard.model_copy(update={"path": release.shard_path(index)})


@task(name="explain a few rows exactly", cache_policy=NO_CACHE)
def explain_exactly(release: Release) -> list[Path]:
    """Some rows attributed ten times as exactly, for the numerics' share of the drift's noise; kept between runs."""
    settings = attribution.exact_settings(release.config.attribution)
    examples = sampled(examples_of(release), release.config.drift.numerics_rows, release.config.quality.seed)
    identity = digest_of([release.attribution_key, settings.fingerprint(), [example.id for example in examples]])[:16]
    path = release.workspace / "numerics" / f"{identity}.parquet"
    if examples and not unchanged(path):
        with gpu_slot(settings):
            attribution.explain_shard(release.snapshot, examples, settings, index=0, path=path)
        note_digest(path)
    return [path] if examples else []


@task(name="explain toward the reference's targets", cache_policy=NO_CACHE)
def explain_toward(release: Release, targets: dict[str, NamedTarget]) -> list[Path]:
    """The rows named in `targets` attributed toward what is given there; kept between runs, a shard at a time."""
    settings, size = release.config.attribution, release.config.attribution.shard_rows
    named = (example for example in examples_of(release) if example.id in targets)
    paths: list[Path] = []
    while part := list(islice(named, size)):
        theirs = {example.id: targets[example.id] for example in part}
        identity = digest_of([release.attribution_key, theirs])[:16]
        path = release.workspace / "toward-reference" / f"{identity}.parquet"
        if not unchanged(path):
            wanted = attribution.targets_of(release.snapshot.labels, theirs)
            with gpu_slot(settings):
                attribution.explain_shard(release.snapshot, part, settings, index=len(paths), path=path, targets=wanted)
            note_digest(path)
        paths.append(path)
    return paths


@task(
    name="choose fusion",
    **_kept_by(fusion_key),
    **RETRIES,
)
def choose_fusion(snapshot: ModelSnapshot, dataset: DatasetRef, config: PipelineConfig, workspace: Path) -> FusionChoice:
    """Explain a slice of the rows once, fuse it in every way of the grid, and score the results."""
    default = config.attribution.fused_by(config.attribution.default_fusion)
    perturbation = attribution.choose_perturbation(snapshot, default, config.quality.perturbation)
    examples = sampled(examples_in(dataset, snapshot.labels), default.calibration_rows, config.quality.seed)
    progress.begin("choosing how context is fused", len(examples))
    with gpu_slot(default):
        rows = attribution.attribute_under(attribution.GRID, snapshot, examples, default, progress.advance_current())
    scorer, _ = scoring.open_scorer(
        snapshot,
        runtime=config.quality.scorer,
        workspace=workspace,
        parity_inputs=quality.parity_inputs([row for row, _ in rows[: scorers.PARITY_ROWS]], perturbation),
    )
    return quality.choose_fusion(
        rows,
        attribution.GRID,
        default.fusion,
        labels=snapshot.labels,
        scorer=scorer,
        config=config.quality,
        perturbation=perturbation,
    )


@task(
    name="try to falsify",
    **_kept_by(falsification_key),
)
def falsify(release: Release, tables: list[Path]) -> Falsification:
    """Explain a few rows again, nudged and without the learned weights; once for the same attributions."""
    settings, advance = release.config.attribution, progress.advance_current()
    with gpu_slot(settings):
        return attribution.falsify(
            release.snapshot,
            examples_of(release),
            tables,
            settings=settings,
            quality=release.config.quality,
            progress=advance,
        )


@task(
    name="score shard",
    task_run_name="score shard {index}",
    **_kept_by(scored_key),
    **RETRIES,
)
def score_shard(
    release: Release, index: int, shard: ShardResult, drawn: DrawnRows, plan: ScoringPlan, perturbation: quality.Perturbation
) -> ScoredShard:
    """Perturb and score the rows of one shard; a finished one is not scored again, in this run or a later one."""
    resources.prepare_worker(release.config.execution)
    advance, name = progress.advance_current(), release.scored_name(plan.key, index)
    with (
        exchange.read_table(release, shard) as table,
        exchange.open_table(release, name) as path,
        gpu_slot(release.config.attribution),
        scorers.scorer_of(release, plan, perturbation) as (scorer, record),
    ):
        by = quality.Scoring(release.snapshot.labels, scorer.once(), record, release.config.quality, perturbation)
        scored = quality.score_shard(table, drawn, by, index=index, path=path, progress=advance)
    return scored.model_copy(update={"path": release.workspace / name})


@task(name="judge quality", cache_policy=NO_CACHE)
def judge_quality(
    release: Release, shards: list[ScoredShard], perturbation: quality.Perturbation, falsification: Falsification | None
) -> QualityReport:
    """Check the expectations on the scored rows."""
    return quality.judge(
        shards,
        modality=release.snapshot.modality,
        config=release.config.quality,
        perturbation=perturbation,
        falsification=falsification,
    )


@task(name="publish", cache_policy=NO_CACHE, **RETRIES)
def publish(record: GovernanceReport, folder: Path, force: bool) -> PublishedRun:
    """Put the evidence onto the model version: once, last."""
    return registry.publish(record, folder=folder, force=force)


@task(name="mark version", cache_policy=NO_CACHE, **RETRIES)
def point_to(record: GovernanceReport, published: PublishedRun) -> None:
    """Let the version name an explanation that was published before: its tags may name another by now."""
    registry.point_to(record, published.run_id)
