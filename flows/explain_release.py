"""Flow `explain-release`: from a model reference and a data set to a published verdict. Wires the steps, does no arithmetic."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from components import registry, signing
from components.common.caches import in_use
from components.common.errors import PublishError
from flows.alerts import delivery
from flows.common import progress
from flows.common.process import DEFAULT_OUTPUT
from flows.common.run_limits import within_limits
from flows.pipeline import judge, probe, tasks
from flows.pipeline.announce import announce, note_done, note_running
from flows.pipeline.attribute import attribute
from flows.pipeline.redact import open_cover, redact_reference, redact_shards, rename_references
from flows.pipeline.resolve import check_preconditions, resolve
from flows.pipeline.results import Outcome, find_results, is_superseded, make_record, read_results, write_results
from schemas.config import PipelineConfig
from schemas.governance import GovernanceReport
from schemas.planned_release import Release
from schemas.release import ModelSource, PublishedRun


@flow(name="explain-release", task_runner=ThreadPoolTaskRunner(max_workers=2), validate_parameters=True)  # type: ignore[arg-type]
def explain_release(  # noqa: PLR0913, PLR0917 - a deployment's parameters are the function's
    model: str,
    dataset: Path,
    reference: str | None = None,
    config: PipelineConfig | None = None,
    limit: int | None = None,
    output: Path = DEFAULT_OUTPUT,
    force: bool = False,
    request: str | None = None,
    chosen_by: dict[str, str] | None = None,
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
        request: what a trigger asked for, by its digest; the version's tags say how far that is.
        chosen_by: who chose dataset, config and reference (watch file, a tag, the command line); goes into the record.

    The tracking server is the one MLflow's own settings name (MLFLOW_TRACKING_URI).
    """
    settings = config or PipelineConfig()
    with in_use(output), within_limits(settings.execution):
        note_running(model, request)
        release = resolve(model, dataset, reference, settings, limit, output.absolute())
        return _explained(release, force, request, chosen_by or {})


def _explained(release: Release, force: bool, request: str | None, chosen_by: dict[str, str]) -> Outcome:
    """The finished explanation when there is one, else a new one, published."""
    outcome = None if force else find_results(release)
    again = force or (outcome is None and is_superseded(release))
    if outcome is not None and outcome.published is not None:
        tasks.point_to(outcome.record, outcome.published)
    if outcome is None:
        record = None if again else read_results(release)
        if record is None:
            record = _explain(release, force, chosen_by)
        outcome = Outcome(record=record, folder=release.folder, published=_published(release, record, again), reused=False)
    if outcome.published is not None:
        note_done(outcome.record, request)
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
    delivery.tell(record, folder, published, config=release.config.alerts, output=release.output)


def _explain(release: Release, force: bool, chosen_by: dict[str, str]) -> GovernanceReport:
    """All steps between a settled release and its record on disk."""
    seconds: dict[str, float] = {}
    signer = signing.signer_of(release.config.governance)  # a key that cannot be used should not cost a run
    check_preconditions(release.snapshot, release.dataset, release.config)
    if release.snapshot.source is ModelSource.REGISTRY:
        registry.check_destination(release.snapshot.name)
    announce(release, force)
    with _timed(seconds, "attribution"):
        for other in release.pending:
            attribute(other, force)
        shards = attribute(release, force)
    tables = [shard.path for shard in shards]
    with _timed(seconds, "falsification"):
        falsification = judge.falsify(release, tables, sum(shard.n_explained for shard in shards), force)
    with _timed(seconds, "quality"):
        quality_report = judge.measure_quality(release, shards, falsification, force)
    with open_cover(release) as cover:
        with _timed(seconds, "drift"):
            drift_report = judge.compare(rename_references(release, cover), tables, cover)
        with _timed(seconds, "probe"):
            probe_report = probe.probe_vocabulary(release, cover)
        shards = redact_shards(shards, cover)
        found = {"quality": quality_report, "drift": drift_report, "probe": probe_report, "chosen_by": chosen_by}
        record = make_record(release, shards, found, signer, seconds)
        write_results(release, record, [shard.path for shard in shards], redact_reference(release, cover), signer)
    return record


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
