"""What a run leaves, and whether an earlier run has left it already: complete, with this fingerprint, on disk or published."""

from __future__ import annotations

from html import escape
from pathlib import Path

from components import registry, signing
from components.common.errors import InputError
from components.drift import load_record
from components.records.notebook import record_html
from flows.evidence.standing import explanation_of
from schemas.base import Record
from schemas.evidence import Evidence
from schemas.governance import GovernanceReport
from schemas.planned_release import Release
from schemas.release import ModelSource, PublishedRun
from schemas.verification import SealState


class Outcome(Record):
    """What a run of the flow leaves: the record, where the files are, and the MLflow run when it was published."""

    record: GovernanceReport
    folder: Path
    published: PublishedRun | None
    reused: bool

    def _repr_html_(self) -> str:
        """How notebooks show it: the record, and where the report is."""
        return f"{record_html(self.record)}<div>report: <code>{escape(str(self.folder / 'report.html'))}</code></div>"


def finished(release: Release) -> Outcome | None:
    """The published (or, for models outside a registry, the local) explanation with this very fingerprint.

    A published one counts while it is the newest of its version: a gate would take no other.
    """
    record = complete_on_disk(release)
    if release.snapshot.source is not ModelSource.REGISTRY:
        return None if record is None else Outcome(record=record, folder=release.folder, published=None, reused=True)
    run = registry.find_finished(release.snapshot, release.fingerprint, None)
    evidence = None if run is None else _newest(release)
    if run is None or evidence is None or evidence.run_id != run.run_id:
        return None
    on_disk = record is not None and record.content_digest() == evidence.papers[0].record_sha256
    folder = release.folder if on_disk else registry.fetch_profile(evidence, release.workspace, None)
    return Outcome(record=evidence.record, folder=folder, published=run, reused=True)


def superseded(release: Release) -> bool:
    """Whether this explanation was published, and does not count any more: it has to be made again, with a record of now."""
    return (
        release.snapshot.source is ModelSource.REGISTRY
        and registry.find_finished(release.snapshot, release.fingerprint, None) is not None
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


def complete_on_disk(release: Release) -> GovernanceReport | None:
    """The record in the release's folder when everything is there: the record is written last."""
    return _read_record(release.folder)


def _read_record(folder: Path) -> GovernanceReport | None:
    try:
        return load_record(folder)
    except InputError:
        return None
