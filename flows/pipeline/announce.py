"""Announcement of a run: what is explained, how long it should take, and where results go; its progress on the model version.

Failures to write that progress to the version's tags never stop a run.
"""

from __future__ import annotations

import logging
import os

from components import attribution, registry
from components.common.errors import CaligError
from flows.common import progress
from flows.pipeline import dataset
from schemas.governance import GovernanceReport
from schemas.planned_release import Release
from schemas.release import ModelSource

#: A run shorter than this is announced without an estimate, which would be a tenth of a short one: progress shows what is left.
_SHORT_S = 3600.0


def announce(release: Release, force: bool) -> None:
    """Say what is about to happen, how long it should take, and where things will be."""
    say, model, data = progress.current().say, release.snapshot, release.dataset
    against = "nothing" if release.reference is None else f"version {release.reference.identity.version}"
    say(f"explaining {model.uri} ({model.model_type}, {len(model.labels)} classes) on {data.n_rows} rows of {data.name}")
    say(f"comparing with {against}" + (f": {release.without_reference.reason}" if release.without_reference else ""))
    if release.fusion_choice is not None:
        say(f"fusion {release.fusion_choice.fusion.name}: {release.fusion_choice.reason}")
    for other in release.pending:
        say(f"explaining {other.snapshot.uri} again by these settings, so that it can be compared")
    for null in release.nulls:
        versions = ", ".join(profile.identity.version for profile in null.profiles)
        say(f"noise of honest retraining: {null.kind} {versions or 'none'}" + "".join(f"; {why}" for why in null.skipped))
    say(f"results go to {os.path.relpath(release.folder)}")
    if force or not all(release.shard_path(i).exists() for i in range(release.n_shards)):
        say(_expected(release))


def _expected(release: Release) -> str:
    """What attribution should cost. An estimate worth the name passes groups of rows: a short run is not held up by it."""
    work = release.snapshot, dataset.examples_of(release), release.config.attribution
    most = attribution.most_seconds(*work)
    if most < _SHORT_S:
        return f"attribution should take {_rounded(most)} at most"
    expected = attribution.estimate(*work)
    return (
        f"attribution should take about {_rounded(expected.seconds)} and {expected.peak_bytes / 2**30:.1f} GiB "
        "of memory (measured on a few rows)"
    )


def _rounded(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"


_log = logging.getLogger(__name__)


def note_running(model: str, request: str | None) -> None:
    """Note that the version `model` names is being worked on; an alias is left alone, since it is not resolved yet."""
    try:
        ref = registry.parse_model_ref(model)
        if ref.source is ModelSource.REGISTRY and ref.version is not None:
            registry.note_running(ref.name, ref.version, request)
    except CaligError as error:  # what is wrong with the model is said by the step that needs it
        _log.warning("%s: its state could not be noted: %s", model, error)


def note_done(record: GovernanceReport, request: str | None) -> None:
    """Note that the explanation is published; where that fails, `calig reconcile` notes it."""
    try:
        registry.note_done(record.model.name, record.model.version, request)
    except CaligError as error:
        _log.warning("%s: its state could not be noted: %s", record.model.uri, error)
