"""What a run leaves, and whether an earlier run has left it already: complete, with this fingerprint, on disk or published."""

from __future__ import annotations

from html import escape
from pathlib import Path

from components import registry
from components.drift import load_record
from components.errors import InputError
from flows.provenance import Explained, provenance_of, trusted_keys
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
    """The published (or, for models outside a registry, the local) explanation with this very fingerprint.

    A published one counts when its evidence is verified: anybody may make a run and tag it.
    """
    record = complete_on_disk(release)
    if release.snapshot.source is not ModelSource.REGISTRY:
        return None if record is None else Outcome(record=record, folder=release.folder, published=None, reused=True)
    run = published_run(release)
    explained = None if run is None else _verified(release, run)
    if run is None or explained is None:
        return None
    folder = release.folder
    if record is None:
        folder = registry.fetch_explanation(
            release.snapshot.name, release.snapshot.version, explained.papers, release.workspace, None
        )
    return Outcome(record=record or explained.record, folder=folder, published=run, reused=True)


def published_run(release: Release) -> PublishedRun | None:
    """The newest run that is said to hold this very explanation."""
    if release.snapshot.source is not ModelSource.REGISTRY:
        return None
    return registry.find_finished(release.snapshot, release.fingerprint, None)


def _verified(release: Release, run: PublishedRun) -> Explained | None:
    known = provenance_of(release.snapshot.name, release.snapshot.version, trusted_keys(release.config))
    same = (one for one in known.explained if one.record.fingerprint == release.fingerprint)
    return next((one for one in same if one.papers.run_id == run.run_id), None)


def complete_on_disk(release: Release) -> GovernanceReport | None:
    """The record in the release's folder when everything is there: the record is written last."""
    return _read_record(release.folder)


def _read_record(folder: Path) -> GovernanceReport | None:
    try:
        return load_record(folder)
    except InputError:
        return None
