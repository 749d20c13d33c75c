"""Flow behind `calig monitor`: explains a later window of data as an earlier one was explained, and compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from components import attribution, drift, privacy, registry, report
from components.common.caches import in_use
from components.common.errors import InputError
from flows.common import progress
from flows.common.process import DEFAULT_OUTPUT
from flows.common.run_limits import within_limits
from flows.evidence.standing import profile_in_folder, profile_of, trusted_keys, verified_evidence
from flows.pipeline import redact, tasks
from flows.pipeline.attribute import attribute
from flows.pipeline.dataset import examples_of
from flows.pipeline.reference import planned_profile
from schemas.base import Record
from schemas.config import AttributionConfig, PipelineConfig
from schemas.drift import MonitorReport
from schemas.governance import GovernanceReport
from schemas.planned_release import Release
from schemas.reference import ReferenceProfile
from schemas.release import DatasetRef, ModelSnapshot, ModelSource
from schemas.signature import TrustList


class Monitored(Record):
    """What the flow leaves: the report, and the folder with monitor.json and monitor.html."""

    report: MonitorReport
    folder: Path


@flow(name="monitor", task_runner=ThreadPoolTaskRunner(max_workers=2), validate_parameters=True)  # type: ignore[arg-type]
def monitor_data(
    model: str,
    dataset: Path,
    against: str | None = None,
    config: PipelineConfig | None = None,
    limit: int | None = None,
    output: Path = DEFAULT_OUTPUT,
) -> Monitored:
    """Explain `dataset` by `model` and hold it against an earlier explanation by the same model; nothing is published.

    Args:
        model: models:/NAME/VERSION, models:/NAME@alias, a folder, or hub-id@revision.
        dataset: the later window, for instance of production traffic.
        against: folder of a finished explanation, or a version; default: the explanation published for this very version.
        config: settings; those of the attribution are taken from the earlier explanation, so that the two compare.
        limit: only the first so many rows.
        output: where results and caches go.
    """
    settings = config or PipelineConfig()
    with in_use(output), within_limits(settings.execution):
        return _monitored(model, dataset, against, settings, limit, output.absolute())


def _monitored(
    model: str, dataset: Path, against: str | None, settings: PipelineConfig, limit: int | None, output: Path
) -> Monitored:
    progress.begin("fetching the model and reading the data set", None)
    snapshot = tasks.fetch_model(registry.parse_model_ref(model), output / ".cache")
    record, before = _earlier(snapshot, against, output / ".cache", trusted_keys(settings))
    settings = redact.name_key(_same_method(settings, record.config.attribution), snapshot)
    attribution.check_target(settings.attribution.target, snapshot)
    release = _release(snapshot, dataset, limit, settings, output)
    _check_pairs(record.data.dataset, release.dataset)
    attribution.check_ready(snapshot, examples_of(release), settings.attribution)
    attribute(release, force=False)
    found = _compared(before, release, names=(record.data.dataset.name, release.dataset.name))
    return Monitored(report=found, folder=_write(release, found))


def _check_pairs(before: DatasetRef, now: DatasetRef) -> None:
    if before.has_pairs != now.has_pairs:
        kinds = {True: "pairs of texts", False: "single texts"}
        raise InputError(
            "The two windows cannot be compared: the rows of one are pairs of texts.",
            got=kinds[now.has_pairs],
            allowed=f"{kinds[before.has_pairs]}, as in the earlier window",
            next_step="give both windows the column 'text_pair', or neither",
        )


def _compared(before: ReferenceProfile, release: Release, names: tuple[str, str]) -> MonitorReport:
    """The two windows in the same names for words; inconclusive when that cannot be."""
    now = planned_profile(release, release.snapshot.alias)
    hindrance = privacy.hindrance(before.privacy, release.config.privacy, same_rows=False)
    if hindrance is not None:
        step = "set privacy.texts and the key as they were; what was redacted can only be explained again, kept or hashed"
        return drift.cannot_monitor(now, f"the earlier window cannot be compared: {hindrance}", step)
    with redact.open_cover(release) as cover:
        windows = [
            profile.model_copy(update={"tables": tuple(cover.named(profile.tables, profile.privacy, same_rows=False))})
            for profile in (before, now)
        ]
        today = datetime.now(UTC).date().isoformat()
        return drift.monitor(*windows, names=names, config=release.config.monitor, decided_on=today)


def _earlier(
    snapshot: ModelSnapshot, against: str | None, workspace: Path, trusted: TrustList
) -> tuple[GovernanceReport, ReferenceProfile]:
    """The explanation to hold against, verified: its record and its tables."""
    if against is not None and drift.is_results_folder(against):
        return drift.load_record(Path(against)), profile_in_folder(Path(against), trusted)
    if against is None and snapshot.source is not ModelSource.REGISTRY:
        raise InputError(
            "a model outside the registry has no published explanation", next_step="name a results folder: --against"
        )
    ref = registry.resolve_reference(registry.parse_model_ref(against or snapshot.uri))
    evidence = verified_evidence(ref, trusted)
    return evidence.record, profile_of(evidence, workspace)


def _same_method(settings: PipelineConfig, earlier: AttributionConfig) -> PipelineConfig:
    """The earlier explanation's method; device and batch sizes, which change no value, as they are set now."""
    own = settings.attribution
    sizes = {"device": own.device, "batch_tokens": own.batch_tokens, "shard_rows": own.shard_rows}
    return settings.model_copy(update={"attribution": earlier.model_copy(update=sizes)})


def _release(snapshot: ModelSnapshot, dataset: Path, limit: int | None, config: PipelineConfig, output: Path) -> Release:
    return Release(
        snapshot=snapshot,
        dataset=tasks.read_dataset(dataset, limit, snapshot, config.attribution),
        config=config,
        fusion_choice=None,
        suite_digest=None,
        method_fingerprint=attribution.method_fingerprint(config.attribution),
        reference=None,
        without_reference=None,
        output=output,
    )


def _write(release: Release, found: MonitorReport) -> Path:
    folder = release.folder.with_name(f"monitor-{release.attribution_key[:12]}")
    folder.mkdir(parents=True, exist_ok=True)
    report.build_monitor(found, path=folder / "monitor.html")
    (folder / "monitor.json").write_text(found.model_dump_json(indent=2), encoding="utf-8")
    return folder
