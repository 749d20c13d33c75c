"""The governance record, built from what the steps returned: data, method, results, environment, limits, and the crosswalk."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import yaml

from components.common.errors import CouldNotRunError
from components.common.memory import peak_resident_bytes
from components.governance.decision import decide
from components.governance.results import model_results
from components.governance.tally import Row, RowTally
from components.table.reader import iter_rows, open_table
from components.table.value_digest import file_values_digest
from schemas.config import AttributionConfig, PipelineConfig
from schemas.drift import DriftReport
from schemas.fusion import FusionChoice
from schemas.governance import (
    Clause,
    DataRecord,
    Environment,
    GovernanceReport,
    MethodRecord,
    TableDigest,
)
from schemas.probe import ProbeReport
from schemas.quality import QualityReport
from schemas.release import DatasetRef, ModelSnapshot
from schemas.shards import ShardResult

_LIBRARIES = ("torch", "transformers", "tokenizers", "mlflow", "prefect", "great-expectations", "numpy", "calig")
#: Comes from one of several distributions: onnxruntime-gpu on Linux, onnxruntime on macOS.
_RUNTIME = "onnxruntime"


def environment(device: str, device_versions: dict[str, str], *, merged: bool = False) -> Environment:
    """This process's environment; the device is that of the attributions. `merged`: PEFT took part."""
    names = [*_LIBRARIES, *(["peft"] if merged else []), *_runtimes()]
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        device=device,
        libraries={name: _version(name) for name in names},
        device_versions=device_versions,
    )


@cache
def _runtimes() -> tuple[str, ...]:
    """Distributions that bring ONNX Runtime; finding them reads the file list of every distribution."""
    return tuple(packages_distributions().get(_RUNTIME, [_RUNTIME]))


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def data_record(dataset: DatasetRef, rows: RowTally, split: str | None) -> DataRecord:
    """Which rows were explained and which were not; `split` is what the settings state."""
    return DataRecord(
        dataset=dataset,
        n_explained=rows.n_explained,
        n_skipped=rows.n_skipped,
        skipped=tuple(rows.skipped),
        coverage=rows.coverage,
        n_truncated=rows.n_truncated,
        n_windowed=rows.n_windowed,
        split=split,
        sampling=_sampling(dataset),
        segments={column: dict(found) for column, found in rows.segments.items()},
    )


def _sampling(dataset: DatasetRef) -> str:
    taken = "all rows of the file" if dataset.limit is None else f"the first {dataset.limit} rows of the file"
    if dataset.each_label:
        return f"{taken}, each once for every label of the model"
    if not dataset.each_gold_label:
        return taken
    left_out = f"; {dataset.n_without_label} rows that have none are left out" if dataset.n_without_label else ""
    return f"{taken}, each once for every gold label that it has{left_out}, also where accuracy is counted"


def method_record(
    formula_version: str,
    fingerprint: str,
    shard: ShardResult,
    rows: RowTally,
    config: PipelineConfig,
    fusion_choice: FusionChoice | None,
) -> MethodRecord:
    """How the attributions were computed: as set, and as resolved for this model on this device."""
    settings, fusion = config.attribution, config.attribution.fusion
    return MethodRecord(
        formula_version=formula_version,
        fingerprint=fingerprint,
        baseline=shard.baseline,
        target=settings.target,
        objective=_objective(rows.objectives, settings),
        fusion_rule=fusion.rule,
        fusion_coefficient=fusion.coefficient,
        context_rule=fusion.context_rule,
        fusion_choice=fusion_choice,
        dtype=settings.dtype,
        device=shard.device,
        attention_kernel=shard.attention_kernel,
        n_layers=rows.n_layers,
        mean_points=rows.mean_points,
        points=_points(settings),
        long_texts=_long_texts(settings),
        seed=config.quality.seed,
    )


def _objective(found: set[str], settings: AttributionConfig) -> str:
    """As resolved for this model: independent outputs have their logit explained, whatever the settings say."""
    return ", ".join(sorted(found)) or settings.objective


def _points(settings: AttributionConfig) -> str:
    if settings.n_points is not None:
        return f"{settings.n_points} Gauss-Legendre points for every row and layer"
    share = f"{settings.tolerance:g} of |f(x) − f(x')|"
    return f"chosen by need, at most {settings.max_points} per row and layer, error allowed {share}"


def _long_texts(settings: AttributionConfig) -> str:
    """Which function of a text beyond the limit is explained."""
    limit = "the model's limit" if settings.max_length is None else f"{settings.max_length} tokens, or the model's limit"
    if settings.long_texts == "truncate":
        return f"cut at {limit}"
    return (
        f"in windows up to {limit}, each repeating {settings.window_overlap:.0%} of the one before; explained is the mean of the "
        "windows' logits, the largest of which is the prediction; a token's value is its mean over all windows, nothing where a "
        "window does not hold it"
    )


@cache
def crosswalk() -> tuple[Clause, ...]:
    """Every clause with its fields and its gaps, in the order of the file."""
    content = yaml.safe_load(Path(__file__).with_name("crosswalk.yaml").read_text(encoding="utf-8"))
    return tuple(Clause.model_validate(clause) for clause in content["clauses"])


LIMITS = (
    "An attribution says what this model's logit responded to along one path from one baseline; it is no causal claim.",
    "Attribution drift sees only words that the data set contains; beyond it the probe looks at single known words and at a few "
    "transformations of the rows (case, punctuation, negation, names, length, order), not at phrases, style or layout.",
    "The equations are this project's own reading of CA-LIG (arXiv 2602.16608).",
    "Relevance on special tokens is kept and shown apart: it is part of the sum, but no word of the input.",
)

#: By `attribution.long_texts`.
_BEYOND_THE_LIMIT = {
    "truncate": "Texts beyond the model's limit are explained as far as the model reads them.",
    "windows": "Of a text beyond the model's limit, the mean of its windows' logits is explained: no window sees evidence of "
    "another, and an application that reads such texts in another way gives other answers.",
}

FAILURE_MODES = (
    "The baseline may carry evidence of its own: another baseline gives other attributions.",
    "Attributions are faithful only as far as the quality section shows: a model can rely on an interaction that no single "
    "word carries.",
    "Rows that did not converge have attributions with a larger error than the tolerance; they are counted.",
    "An adversary with access to training can hide a reason from rows that the data set does not contain.",
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
    signing_key: str | None,
    stage_seconds: dict[str, float],
    created_at: datetime,
    chosen_by: dict[str, str] | None = None,
) -> GovernanceReport:
    """The record of one explanation, from what the steps returned and the attribution tables they wrote.

    The tables are read once, in the order of `shards`, some rows at a time.
    `signing_key` is the id of the key that will sign the seal, so that a seal taken away is missed.
    """
    rows, stated = RowTally(dataset.segment_columns), config.governance
    table = iter_rows([shard.path for shard in shards], Row)
    results = model_results(rows.explained(table), config.quality)  # reads the table, once; `rows` is complete after it
    record = GovernanceReport(
        created_at=created_at,
        fingerprint=fingerprint,
        model=model,
        data=data_record(dataset, rows, stated.split),
        method=method_record(formula_version, method_fingerprint, shards[0], rows, config, fusion_choice),
        config=config,
        results=results,
        quality=quality,
        drift=drift,
        probe=probe,
        decision=decide(quality, drift, probe, owner=stated.owner, signing_key=signing_key),
        evidence=tuple(_table_digest(shard) for shard in shards),
        environment=environment(shards[0].device, shards[0].device_versions, merged=model.adapter is not None),
        stage_seconds={name: round(s, 2) for name, s in stage_seconds.items()},
        peak_memory_bytes=peak_resident_bytes(),
        limits=LIMITS,
        scope=stated.intended_use,
        failure_modes=(*FAILURE_MODES, _BEYOND_THE_LIMIT[config.attribution.long_texts]),
        crosswalk=crosswalk(),
        chosen_by=chosen_by or {},
    )
    _check_writable(record)
    return record


def _check_writable(record: GovernanceReport) -> None:
    """A number that JSON does not have would make the record unreadable to others, and its digest meaningless."""
    try:
        record.canonical()
    except ValueError as error:
        raise CouldNotRunError(
            "The record cannot be written: it holds a number that is not finite.", got=error, next_step="report this error"
        ) from error


def _table_digest(shard: ShardResult) -> TableDigest:
    with open_table(shard.path) as file:
        n_rows = file.metadata.num_rows
        return TableDigest(file=f"attributions/{shard.path.name}", n_rows=n_rows, values_sha256=file_values_digest(file))
