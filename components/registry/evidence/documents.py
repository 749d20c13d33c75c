"""Store a sign-off beside the evidence of a version, mirror it in tags, and download all files of an explanation."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.errors import CouldNotRunError, InputError
from components.registry.connection import connect, tracking_errors
from components.registry.evidence.newest import SIGN_OFFS, artifact_names, read_artifact, read_papers
from components.registry.evidence.runs import runs_of_version
from schemas.evidence import Evidence, RunPapers
from schemas.signoff import SignOff
from schemas.tags import SIGN_OFF_ENTRY, Tag, sign_off_entry

_FOLDER = f"calig/{SIGN_OFFS}"


def noted_sign_offs(evidence: Evidence) -> frozenset[str]:
    """Digests of sign-offs that were noted: by parameters of the version's runs, which nobody can take away, and by its tag."""
    client, model = connect(), evidence.record.model
    with tracking_errors(f"read the tags of {model.uri}"):
        tags = client.get_model_version(model.name, model.version).tags
        runs = runs_of_version(client, model.name, model.version)
    stated = [value for run in runs for key, value in run.data.params.items() if key.startswith(SIGN_OFF_ENTRY)]
    return frozenset(digest for digest in (*stated, tags.get(Tag.SIGN_OFF_DIGEST)) if digest)


def add_sign_off(evidence: Evidence, entry: SignOff, name: str, digest: str) -> None:
    """Put `entry` beside the record as the file `name`, note it on the run, and mirror it on the version.

    Nothing is ever overwritten. The run's parameter cannot be changed later: it tells of an entry that somebody takes away.

    Raises:
        InputError: there is such a file: somebody signed off at the same time.
        CouldNotRunError: the server does not answer, or keeps something else than what was sent.
    """
    client, run_id, model = connect(), str(evidence.run_id), evidence.record.model
    with tracking_errors(f"store the sign-off of {model.uri}"):
        if name in artifact_names(client, run_id, _FOLDER):
            raise InputError("Somebody else has signed off in the meantime.", got=name, next_step="look at it, then run again")
        content = entry.canonical()
        _store(client, run_id, name, content)
        if read_artifact(client, run_id, f"{_FOLDER}/{name}") != content:
            raise CouldNotRunError("The sign-off was not stored as it was sent.", got=name, next_step="calig verify MODEL")
        client.log_param(run_id, sign_off_entry(entry.number), digest)
        for key, value in _mirror(entry, digest).items():
            client.set_model_version_tag(model.name, model.version, key, value)


def download_evidence(evidence: Evidence, folder: Path) -> Path:
    """All files of the explanation, tables too, in `folder`; the place where record.json lies.

    Raises:
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    return download_run(str(evidence.run_id), folder)


def download_run(run_id: str, folder: Path) -> Path:
    """The same of the explanation in one run."""
    client = connect()
    folder.mkdir(parents=True, exist_ok=True)
    with tracking_errors(f"download the evidence of run {run_id}"):
        return Path(client.download_artifacts(run_id, "calig", str(folder)))


def find_record(name: str, version: str, record_sha256: str) -> tuple[RunPapers | None, tuple[str, ...]]:
    """The papers of the explanation of a version whose record has this digest, and the runs that were looked at.

    Raises:
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    client = connect()
    with tracking_errors(f"look for a record of models:/{name}/{version}"):
        runs = tuple(run.info.run_id for run in runs_of_version(client, name, version))
        found = (papers for run_id in runs if (papers := read_papers(client, run_id)) is not None)
        return next((papers for papers in found if papers.record_sha256 == record_sha256), None), runs


def _mirror(entry: SignOff, digest: str) -> dict[str, str]:
    return {
        Tag.SIGN_OFF: entry.ruling.value,
        Tag.SIGN_OFF_REVIEWER: entry.reviewer,
        Tag.SIGN_OFF_EXPIRES: "" if entry.expires is None else entry.expires.isoformat(),
        Tag.SIGN_OFF_DIGEST: digest,
    }


def _store(client: Any, run_id: str, name: str, content: bytes) -> None:
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / name
        file.write_bytes(content)
        client.log_artifact(run_id, str(file), _FOLDER)
