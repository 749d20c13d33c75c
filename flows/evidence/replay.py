"""`calig replay`: computes attributions again from the registry's model and the recorded settings, and compares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from components import attribution, datasets, drift, governance, privacy, registry, replay, signing
from components.common.caches import in_use
from components.common.errors import InputError
from flows.common import progress
from flows.evidence.standing import evidence_of, require_known
from flows.evidence.verify import download_verified
from schemas.config import PipelineConfig
from schemas.evidence import Evidence, ReplayReport, RowReplay
from schemas.governance import GovernanceReport
from schemas.release import Example, ModelSnapshot
from schemas.shards import ShardResult
from schemas.signature import TrustList

_LISTED = 20


class ReplayOptions(NamedTuple):
    """Rows to compute again, the data set's present place, and the folder for downloads."""

    rows: int | None
    dataset: Path | None
    output: Path


def replay_version(model: str, options: ReplayOptions, config: PipelineConfig) -> ReplayReport:
    """Compute rows of a published explanation again and compare; `options.rows` None: all.

    Raises:
        InputError: no evidence, evidence that does not verify, or a data set that is missing or not the recorded one.
    """
    trusted = signing.load_trust(config.governance.trusted_keys)
    with in_use(options.output), TemporaryDirectory() as temporary:
        evidence, folder, digest = _evidence(model, Path(temporary), trusted)
        record = evidence.record
        examples = _examples(record, options.dataset)
        progress.begin("fetching the model", None)
        snapshot = registry.fetch(registry.parse_model_ref(record.model.uri), workspace=options.output.absolute() / ".cache")
        tables = [folder / table.file for table in record.evidence] or sorted((folder / "attributions").glob("*.parquet"))
        shards, rows = _replayed(record, snapshot, _chosen(record, examples, options.rows), tables, Path(temporary))
    return _report(record, digest, config.governance.replay_tolerance, rows, snapshot, shards[0])


def _evidence(model: str, temporary: Path, trusted: TrustList) -> tuple[Evidence, Path, str]:
    """Evidence that verifies, where its files lie, and its record's digest."""
    progress.begin("reading and verifying the evidence", None)
    evidence = evidence_of(model, trusted)
    if drift.is_results_folder(model):
        folder, seal = Path(model), signing.verify_folder(Path(model), trusted)
    else:
        folder, seal = download_verified(evidence, temporary / "published", trusted)
    require_known(seal)
    return evidence, folder, seal.record_sha256


def _examples(record: GovernanceReport, given: Path | None) -> Sequence[Example]:
    """The rows that were explained, from the recorded place or from where they are now."""
    pinned, path = record.data.dataset, given or record.data.dataset.path
    if not path.exists():
        step = "--dataset FILE: where the same data set is now"
        raise InputError("The data set is not where the record says.", got=path, next_step=step)
    now, examples = datasets.load_again(pinned, record.model.labels, path)
    if now.digest != pinned.digest:
        raise InputError(
            "This is not the data set that was explained.",
            got=f"{path}, digest {now.digest[:12]}",
            allowed=f"digest {pinned.digest[:12]}, {pinned.n_rows} rows",
            next_step="--dataset FILE: where the same data set is",
        )
    return examples


def _chosen(record: GovernanceReport, examples: Sequence[Example], n_rows: int | None) -> Sequence[Example]:
    """All rows, or some of them, drawn by the record's seed."""
    from flows.pipeline.dataset import sampled

    return examples if n_rows is None else sampled(examples, n_rows, record.method.seed)


def _replayed(
    record: GovernanceReport, snapshot: ModelSnapshot, examples: Sequence[Example], published: list[Path], folder: Path
) -> tuple[list[ShardResult], list[RowReplay]]:
    """The rows explained again in shards of the size in which they were explained, and compared with what was published."""
    from flows.execution.resources import gpu_slot

    settings, shards, rows = record.config.attribution, [], []
    covering = privacy.settled(record.config.privacy, record.model.modality)
    cover = privacy.Cover(covering, examples, folder, privacy.key_of(covering))
    progress.begin("attributing again", len(examples))
    advance = progress.advance_current()
    for index, start in enumerate(range(0, len(examples), settings.shard_rows)):
        part = examples[start : start + settings.shard_rows]
        path = folder / "replayed" / f"shard-{index:05d}.parquet"
        with gpu_slot(settings), attribution.recorded_threads(record.environment.device_versions):
            shards.append(attribution.explain_shard(snapshot, part, settings, index=index, path=path, progress=advance))
        rows += replay.compare_rows(published, *cover.shown([path]))
    return shards, rows


def _report(
    record: GovernanceReport, digest: str, tolerance: float, rows: list[RowReplay], snapshot: ModelSnapshot, shard: ShardResult
) -> ReplayReport:
    beyond = replay.rows_beyond(rows, tolerance)
    changes = [row.change for row in rows if row.change is not None]
    causes = replay.identity_changes(record, snapshot, attribution.formula_version())
    now = governance.environment(shard.device, shard.device_versions)
    return ReplayReport(
        model=record.model.name,
        version=record.model.version,
        record_sha256=digest,
        outcome=replay.outcome_of(rows, tolerance, causes),
        tolerance=tolerance,
        n_rows=len(rows),
        n_exact=sum(row.exact for row in rows),
        largest_change=max(changes, default=None),
        rows=tuple(beyond[:_LISTED]),
        n_beyond=len(beyond),
        causes=causes,
        environment=replay.environment_changes(record, now, shard.attention_kernel),
    )
