"""What is left of an explanation: its record, and its folder under a seal."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components import attribution, card, governance, report, signing
from components.common import configuration
from flows.common import progress
from schemas.attribution import ShardResult
from schemas.governance import GovernanceReport
from schemas.planned_release import Release


def record_of(
    release: Release, shards: list[ShardResult], found: dict[str, Any], signer: signing.Signer | None, seconds: dict[str, float]
) -> GovernanceReport:
    """The record of what was `found`: the reports, and who chose what, by the names of the record's fields."""
    return governance.build_record(
        fingerprint=release.fingerprint,
        formula_version=attribution.formula_version(),
        method_fingerprint=release.method_fingerprint,
        model=release.snapshot,
        dataset=release.dataset,
        shards=shards,
        config=release.config,
        fusion_choice=release.fusion_choice,
        **found,
        signing_key=None if signer is None else signer.key_id,
        stage_seconds=seconds,
        created_at=datetime.now(UTC),
    )


def write(
    release: Release,
    record: GovernanceReport,
    tables: list[Path],
    reference_tables: list[Path] | None,
    signer: signing.Signer | None,
) -> None:
    """Tables, configuration, report and card, the seal over them, and the record last: then the folder is complete."""
    progress.begin("writing the report", None)
    folder = release.folder
    (folder / "record.json").unlink(missing_ok=True)
    (folder / "attributions").mkdir(parents=True, exist_ok=True)
    for table in tables:
        shutil.copy2(table, folder / "attributions" / table.name)
    (folder / "config.yaml").write_text(configuration.render(release.config), encoding="utf-8")
    report.build(record, tables, reference_tables, path=folder / "report.html")
    card.write_card(record, folder / "model_card.md")
    seal = signing.seal_folder(folder, record, signer, datetime.now(UTC))
    (folder / signing.SEAL).write_bytes(seal.canonical())
    (folder / signing.RECORD).write_bytes(record.canonical())
