"""Published evidence of a version: read, and checked to be about this very version."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.errors import InputError
from components.records import read_record
from components.registry.history import RECORD
from components.registry.runs import is_complete, run_url
from components.registry.tracking import connect, is_missing, tracking_errors
from components.registry.versions import resolve_version
from schemas.evidence import Evidence
from schemas.governance import GovernanceReport
from schemas.release import ModelRef, ModelSource
from schemas.trigger import Tag


def fetch_evidence(ref: ModelRef, tracking_uri: str | None) -> Evidence:
    """The record published for the version that `ref` names.

    Raises:
        InputError: no registry version, one that was never explained, or evidence that is not this version's own.
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    if ref.source is not ModelSource.REGISTRY:
        raise InputError(
            "Only versions of registered models have published evidence.",
            got=ref.uri,
            allowed="models:/NAME/VERSION, models:/NAME@alias, or a results folder",
        )
    client = connect(tracking_uri)
    return evidence_of(client, resolve_version(client, ref))


def evidence_of(client: Any, version: Any) -> Evidence:
    """The record behind the tags of an MLflow `ModelVersion`; errors as for `fetch_evidence`."""
    uri, run_id = f"models:/{version.name}/{version.version}", version.tags.get("calig.run_id")
    reason = version.tags.get(Tag.REASON)
    if reason is not None:
        raise InputError(
            "Explaining this version was given up: its verdict is inconclusive.",
            got=f"{uri}: {reason}",
            next_step=f"mend that, then set the tag {Tag.RETRY.value} to a new value",
        )
    if run_id is None:
        raise InputError("This version was never explained.", got=uri, next_step=f"calig explain {uri} --dataset VALIDATION_SET")
    with tracking_errors(f"read the evidence of {uri}", client.tracking_uri):
        run = _run(client, run_id, uri)
        record = _record(client, run_id, uri)
    _check(record, run, version, uri)
    return Evidence(record=record, run_id=run_id, run_url=run_url(client.tracking_uri, run))


def _run(client: Any, run_id: str, uri: str) -> Any:
    try:
        run = client.get_run(run_id)
    except Exception as error:
        if is_missing(error):
            raise _not_its_own(uri, f"its run {run_id} does not exist") from error
        raise
    if run.info.lifecycle_stage != "active" or not is_complete(run):
        raise _not_its_own(uri, f"its run {run_id} was deleted or never completed")
    return run


def _record(client: Any, run_id: str, uri: str) -> GovernanceReport:
    with TemporaryDirectory() as temporary:
        content = Path(client.download_artifacts(run_id, f"calig/{RECORD}", temporary)).read_bytes()
    return read_record(content, f"{uri}, run {run_id}")


def _check(record: GovernanceReport, run: Any, version: Any, uri: str) -> None:
    """Tags can be edited and are copied with a version: the record, the run and the version must say the same."""
    expected = {
        "calig.model": version.name,
        "calig.version": str(version.version),
        "calig.fingerprint": version.tags.get("calig.fingerprint"),
        "calig.verdict": version.tags.get("calig.verdict"),
    }
    stated = {
        "calig.model": record.model.name,
        "calig.version": record.model.version,
        "calig.fingerprint": record.fingerprint,
        "calig.verdict": record.decision.verdict.value,
    }
    for key, value in expected.items():
        for where, found in (("record", stated[key]), ("run", run.data.tags.get(key))):
            if found != value:
                raise _not_its_own(uri, f"{key} is {value!r} on the version but {found!r} in its {where}")


def _not_its_own(uri: str, why: str) -> InputError:
    return InputError(
        "The evidence that this version points to is not its own.",
        got=f"{uri}: {why}",
        next_step=f"explain it: calig explain {uri} --dataset VALIDATION_SET --force",
    )
