"""The results of an explanation: found when an earlier run left them complete, else written as a sealed folder."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from components import attribution, card, governance, registry, report, signing
from components.common import configuration
from components.common.errors import InputError
from components.drift import load_record
from components.records import record_html
from flows.common import progress
from flows.evidence.standing import explanation_of
from schemas.base import Record
from schemas.evidence import Evidence, SealState
from schemas.governance import GovernanceReport
from schemas.planned_release import Release
from schemas.release import ModelSource, PublishedRun
from schemas.shards import ShardResult


class Outcome(Record):
    """Result of the flow: the record, the folder of its files, and the MLflow run when it was published."""

    record: GovernanceReport
    folder: Path
    published: PublishedRun | None
    reused: bool

    def _repr_html_(self) -> str:
        """Form in notebooks: the record, and the report's path."""
        return f"{record_html(self.record)}<div>report: <code>{escape(str(self.folder / 'report.html'))}</code></div>"


def find_results(release: Release) -> Outcome | None:
    """Find the published (or, for models outside a registry, the local) explanation with this very fingerprint.

    A published one counts while it is the newest of its version: a gate would take no other.
    """
    record = read_results(release)
    if release.snapshot.source is not ModelSource.REGISTRY:
        return None if record is None else Outcome(record=record, folder=release.folder, published=None, reused=True)
    run = registry.find_finished(release.snapshot, release.fingerprint)
    evidence = None if run is None else _newest(release)
    if run is None or evidence is None or evidence.run_id != run.run_id:
        return None
    on_disk = record is not None and record.content_digest() == evidence.papers[0].record_sha256
    folder = release.folder if on_disk else registry.fetch_profile(evidence, release.workspace)
    return Outcome(record=evidence.record, folder=folder, published=run, reused=True)


def is_superseded(release: Release) -> bool:
    """Whether this explanation was published, and does not count any more: it has to be made again, with a record of now."""
    return (
        release.snapshot.source is ModelSource.REGISTRY
        and registry.find_finished(release.snapshot, release.fingerprint) is not None
    )


def _newest(release: Release) -> Evidence | None:
    """The newest explanation of the version when it is this one and a gate can rest on it, as far as this run could mend it."""
    governance = release.config.governance
    try:
        trusted = signing.load_trust(governance.trusted_keys)
        evidence = explanation_of(registry.parse_model_ref(release.snapshot.uri), trusted)
    except InputError:
        return None
    signable = trusted.found and signing.signer_of(governance) is not None
    unsigned = signable and (evidence.seal is None or evidence.seal.state is not SealState.SIGNED)
    unbound = evidence.record.model.registered is None
    return None if evidence.doubts or unsigned or unbound or evidence.record.fingerprint != release.fingerprint else evidence


def read_results(release: Release) -> GovernanceReport | None:
    """The record in the release's folder when everything is there: the record is written last."""
    try:
        return load_record(release.folder)
    except InputError:
        return None


def make_record(
    release: Release, shards: list[ShardResult], found: dict[str, Any], signer: signing.Signer | None, seconds: dict[str, float]
) -> GovernanceReport:
    """Build the record. `found`: the reports, and who chose data and settings, by the names of the record's fields."""
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


def write_results(
    release: Release,
    record: GovernanceReport,
    tables: list[Path],
    reference_tables: list[Path] | None,
    signer: signing.Signer | None,
) -> None:
    """Write tables, configuration, report, card, their seal and attestation, and the record last: then the folder is complete."""
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
    (folder / signing.ATTESTATION).unlink(missing_ok=True)
    if signer is not None:
        (folder / signing.ATTESTATION).write_bytes(signing.attest(record, seal, signer))
    (folder / signing.RECORD).write_bytes(record.canonical())
