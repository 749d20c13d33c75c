"""What a run leaves, and whether an earlier run has left it already: complete, with this fingerprint, on disk or published."""

from __future__ import annotations

from html import escape
from pathlib import Path

from components import registry
from components.drift import load_record
from components.errors import InputError
from flows.release import Release
from schemas.base import Record
from schemas.governance import GovernanceReport
from schemas.release import ModelSource, PublishedRun


class Outcome(Record):
    """What a run of the flow leaves: the record, where the files are, and the MLflow run when it was published."""

    record: GovernanceReport
    folder: Path
    published: PublishedRun | None
    reused: bool

    def _repr_html_(self) -> str:
        """How notebooks show it: the record, and where the report is."""
        return f"{self.record._repr_html_()}<div>report: <code>{escape(str(self.folder / 'report.html'))}</code></div>"


def finished(release: Release) -> Outcome | None:
    """The published (or, for models outside a registry, the local) explanation with this very fingerprint."""
    record = complete_on_disk(release)
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


def complete_on_disk(release: Release) -> GovernanceReport | None:
    """The record in the release's folder when everything is there: the record is written last."""
    return _read_record(release.folder)


def _read_record(folder: Path) -> GovernanceReport | None:
    try:
        return load_record(folder)
    except InputError:
        return None
