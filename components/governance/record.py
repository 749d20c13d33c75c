"""The governance record, built from what the steps returned, with its limits and the crosswalk to clauses of regulations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import yaml

from components.common.errors import CouldNotRunError
from components.common.memory import peak_resident_bytes
from components.governance.decision import decide
from components.governance.environment import environment
from components.governance.sections import Row, data_record, method_record, model_results
from components.table.reader import iter_rows, open_table
from components.table.value_digest import file_values_digest
from schemas.attribution import ShardResult
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.fusion import FusionChoice
from schemas.governance import Clause, GovernanceReport, TableDigest
from schemas.probe import ProbeReport
from schemas.quality import QualityReport
from schemas.release import DatasetRef, ModelSnapshot


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

FAILURE_MODES = (
    "The baseline may carry evidence of its own: another baseline gives other attributions.",
    "Attributions are faithful only as far as the quality section shows: a model can rely on an interaction that no single "
    "word carries.",
    "Rows that did not converge have attributions with a larger error than the tolerance; they are counted.",
    "Texts beyond the model's limit are explained as far as the model reads them.",
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

    `signing_key` is the id of the key that will sign the seal, so that a seal taken away is missed.
    """
    table = list(iter_rows([shard.path for shard in shards], Row))
    explained = [row for row in table if row["problem"] is None]
    stated = config.governance
    record = GovernanceReport(
        created_at=created_at,
        fingerprint=fingerprint,
        model=model,
        data=data_record(dataset, table, explained, stated.split),
        method=method_record(formula_version, method_fingerprint, shards[0], explained, config, fusion_choice),
        config=config,
        results=model_results(explained, config.quality.confidence),
        quality=quality,
        drift=drift,
        probe=probe,
        decision=decide(quality, drift, probe, owner=stated.owner, signing_key=signing_key),
        evidence=tuple(_table_digest(shard) for shard in shards),
        environment=environment(shards[0].device, shards[0].device_versions),
        stage_seconds={name: round(s, 2) for name, s in stage_seconds.items()},
        peak_memory_bytes=peak_resident_bytes(),
        limits=LIMITS,
        scope=stated.intended_use,
        failure_modes=FAILURE_MODES,
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
