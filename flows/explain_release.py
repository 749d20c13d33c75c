"""The flow: from a model reference and a data set to a published verdict. It wires the steps and does no arithmetic."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import ValidationError

from components import attribution, configuration, drift, governance, quality, registry, report
from components.errors import InputError, PublishError
from flows import alerting, probing, progress, tasks
from flows.attributing import attribute
from flows.release import Release
from flows.resolve import resolve
from schemas.base import Record
from schemas.config import PipelineConfig
from schemas.drift import DriftReport, NoiseSources
from schemas.falsification import Falsification
from schemas.governance import GovernanceReport
from schemas.quality import QualityReport
from schemas.release import ModelSource, PublishedRun

DEFAULT_OUTPUT = Path("calig-runs")


class Outcome(Record):
    """What a run of the flow leaves: the record, where the files are, and the MLflow run when it was published."""

    record: GovernanceReport
    folder: Path
    published: PublishedRun | None
    reused: bool


@flow(name="explain-release", task_runner=ThreadPoolTaskRunner(max_workers=2), validate_parameters=True)  # type: ignore[arg-type]
def explain_release(
    model: str,
    dataset: Path,
    reference: str | None = None,
    config: PipelineConfig | None = None,
    limit: int | None = None,
    output: Path = DEFAULT_OUTPUT,
    force: bool = False,
) -> Outcome:
    """Explain one model version, judge it, and publish the evidence.

    Args:
        model: models:/NAME/VERSION, models:/NAME@alias, a folder, or hub-id@revision.
        dataset: validation set: CSV, JSONL, Parquet, or a saved `datasets` folder.
        reference: version to compare with (or the folder of a finished explanation); default: @champion, when it exists.
        config: settings; default: all defaults.
        limit: only the first so many rows.
        output: where results and caches go.
        force: explain again although a finished explanation exists.

    The tracking server is the one MLflow's own settings name (MLFLOW_TRACKING_URI).
    """
    release = resolve(model, dataset, reference, config or PipelineConfig(), limit, output.absolute())
    outcome = None if force else _finished(release)
    if outcome is None:
        record = None if force else _complete_on_disk(release)
        if record is None:
            record = _explain(release, force)
        outcome = Outcome(record=record, folder=release.folder, published=_published(release, record, force), reused=False)
    _tell(release, outcome.record, outcome.folder, outcome.published)
    return outcome


def _published(release: Release, record: GovernanceReport, force: bool) -> PublishedRun | None:
    """The published run; when publishing fails, the verdict is told all the same."""
    try:
        return _publish(release, record, force)
    except PublishError:
        _tell(release, record, release.folder, None)
        raise


def _tell(release: Release, record: GovernanceReport, folder: Path, published: PublishedRun | None) -> None:
    alerting.tell(record, folder, published, config=release.config.alerts, output=release.output)


def _finished(release: Release) -> Outcome | None:
    """The published (or, for models outside a registry, the local) explanation with this very fingerprint."""
    record = _complete_on_disk(release)
    if release.snapshot.source is not ModelSource.REGISTRY:
        return None if record is None else Outcome(record=record, folder=release.folder, published=None, reused=True)
    run = registry.find_finished(release.snapshot, release.fingerprint, None)
    if run is None:
        return None
    folder = release.folder
    if record is None:
        fetched = registry.fetch_profile(release.snapshot.name, release.snapshot.version, release.workspace, None)
        if fetched is None or (record := _read_record(fetched)) is None or record.fingerprint != release.fingerprint:
            return None
        folder = fetched
    return Outcome(record=record, folder=folder, published=run, reused=True)


def _complete_on_disk(release: Release) -> GovernanceReport | None:
    """The record in the release's folder when everything is there: the record is written last."""
    return _read_record(release.folder)


def _read_record(folder: Path) -> GovernanceReport | None:
    path = folder / "record.json"
    try:
        return GovernanceReport.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError:
        return None


def _explain(release: Release, force: bool) -> GovernanceReport:
    """All steps between a settled release and its record on disk."""
    seconds: dict[str, float] = {}
    _check_quality_settings(release)
    _announce(release, force)
    with _timed(seconds, "attribution"):
        for other in release.pending:
            attribute(other, force)
        shards = attribute(release, force)
    tables = [shard.path for shard in shards]
    with _timed(seconds, "falsification"):
        falsification = _falsify(release, tables, sum(shard.n_explained for shard in shards), force)
    with _timed(seconds, "quality"):
        quality_report = _measure_quality(release, tables, falsification)
    with _timed(seconds, "drift"):
        drift_report = _compare(release, tables)
    with _timed(seconds, "probe"):
        progress.begin("probing the vocabulary", None)
        probe_report = probing.probe_vocabulary(release)
    record = governance.build_record(
        fingerprint=release.fingerprint,
        formula_version=attribution.formula_version(),
        method_fingerprint=release.method_fingerprint,
        model=release.snapshot,
        dataset=release.dataset,
        shards=shards,
        config=release.config,
        fusion_choice=release.fusion_choice,
        quality=quality_report,
        drift=drift_report,
        probe=probe_report,
        stage_seconds=seconds,
        created_at=datetime.now(UTC),
    )
    _write(release, record, tables)
    return record


def _check_quality_settings(release: Release) -> None:
    """A broken suite, or a perturbation that does not fit the model, should not cost an attribution run."""
    settings = release.config.quality
    quality.load_suite(settings.suite, columns=quality.column_names(settings, release.dataset.segment_columns))
    attribution.choose_perturbation(release.snapshot, release.config.attribution, settings.perturbation)


def _announce(release: Release, force: bool) -> None:
    """Say what is about to happen, how long it should take, and where things will be."""
    say, model, data = progress.current().say, release.snapshot, release.dataset
    against = "nothing" if release.reference is None else f"version {release.reference.identity.version}"
    say(f"explaining {model.uri} ({model.model_type}, {len(model.labels)} classes) on {data.n_rows} rows of {data.name}")
    say(f"comparing with {against}" + (f": {release.without_reference.reason}" if release.without_reference else ""))
    if release.fusion_choice is not None:
        fusion = release.fusion_choice.fusion
        say(f"context fused by {fusion.rule}, λ {fusion.coefficient:g}, {fusion.context_rule}: {release.fusion_choice.reason}")
    for other in release.pending:
        say(f"explaining {other.snapshot.uri} again by these settings, so that it can be compared")
    for null in release.nulls:
        versions = ", ".join(profile.identity.version for profile in null.profiles)
        say(f"noise of honest retraining: {null.kind} {versions or 'none'}" + "".join(f"; {why}" for why in null.skipped))
    say(f"results go to {os.path.relpath(release.folder)}")
    if force or not all(release.shard_path(i).exists() for i in range(release.n_shards)):
        expected = attribution.estimate(release.snapshot, tasks.examples_of(release), release.config.attribution)
        say(
            f"attribution should take about {max(1, round(expected.seconds))} s and {expected.peak_bytes / 2**30:.1f} GiB "
            "of memory (measured on a few rows)"
        )


def _falsify(release: Release, tables: list[Path], n_explained: int, force: bool) -> Falsification | None:
    """What came of the attempt to falsify the maps; None when the settings want none. An attempt that breaks stops nothing."""
    settings = release.config
    if not settings.quality.falsification_rows:
        return None
    try:
        steps = attribution.falsification_steps(release.snapshot, n_explained, settings.attribution, settings.quality)
        progress.begin("trying to falsify the maps", steps)
        return tasks.falsify.with_options(refresh_cache=force)(release, tables)
    except Exception as error:  # the report says that it was not tried, and checks on it are inconclusive
        return Falsification(problem=f"{type(error).__name__}: {error}")


def _measure_quality(release: Release, tables: list[Path], falsification: Falsification | None) -> QualityReport:
    """The quality report; when it cannot be made, an inconclusive one that says why, so that nothing computed is lost."""
    progress.begin("measuring quality", release.dataset.n_rows)
    try:
        return tasks.measure_quality(release, tables, falsification)
    except InputError:
        raise
    except Exception as error:  # whatever it was, the verdict is "could not be judged"
        return governance.unjudged_quality(release.config.quality.suite, f"{type(error).__name__}: {error}")


def _compare(release: Release, tables: list[Path]) -> DriftReport:
    """The drift report; a comparison that breaks is inconclusive."""
    progress.begin("comparing with the reference", None)
    if release.reference is None:
        return release.without_reference or drift.not_applicable("there is no reference version")
    try:
        return drift.compare(
            tables,
            release.reference,
            method_fingerprint=release.method_fingerprint,
            dataset_digest=release.dataset.digest,
            labels=release.snapshot.labels,
            config=release.config,
            decided_on=datetime.now(UTC).date().isoformat(),
            sources=_noise_sources(release),
        )
    except Exception as error:  # as above
        return drift.incomparable(
            f"the comparison broke: {type(error).__name__}: {error}",
            reference=release.reference.identity,
            next_step="run again with --debug and report the error",
        )


def _noise_sources(release: Release) -> NoiseSources:
    """What the drift's noise floor is measured on; an exact run that breaks leaves its layer unmeasured, and says so."""
    try:
        return NoiseSources(nulls=release.nulls, numerics=tuple(tasks.explain_exactly(release)))
    except Exception as error:  # the comparison itself can still be made
        return NoiseSources(nulls=release.nulls, problem=f"the numbers' error could not be measured: {error}".split("\n", 1)[0])


def _write(release: Release, record: GovernanceReport, tables: list[Path]) -> None:
    """Tables, configuration and report, and the record last: its presence means that the folder is complete."""
    progress.begin("writing the report", None)
    folder = release.folder
    (folder / "record.json").unlink(missing_ok=True)
    (folder / "attributions").mkdir(parents=True, exist_ok=True)
    for table in tables:
        shutil.copy2(table, folder / "attributions" / table.name)
    (folder / "config.yaml").write_text(configuration.render(release.config), encoding="utf-8")
    reference_tables = None if release.reference is None else list(release.reference.tables)
    report.build(record, tables, reference_tables, path=folder / "report.html")
    (folder / "record.json").write_text(record.model_dump_json(indent=2), encoding="utf-8")


def _publish(release: Release, record: GovernanceReport, force: bool) -> PublishedRun | None:
    """Publish registry versions; a model from a folder or hub has no version to publish to."""
    if release.snapshot.source is not ModelSource.REGISTRY:
        return None
    progress.begin("publishing to MLflow", None)
    return tasks.publish(record, release.folder, force)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        seconds[stage] = time.monotonic() - started
