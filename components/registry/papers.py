"""The documents behind a version's evidence, byte by byte: record, seal and sign-offs; and a new sign-off put beside them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.errors import CouldNotRunError, InputError
from components.registry.history import RECORD
from components.registry.runs import runs_of_version
from components.registry.tracking import connect, is_missing, tracking_errors
from schemas.evidence import Evidence, RunPapers, VersionPapers
from schemas.signoff import SignOff

SEAL, SIGN_OFFS = "calig/seal.json", "calig/signoff"
#: Tags of the version that mirror the decision that stands; what counts is the chain.
TAG = "calig.signoff"


def fetch_papers(evidence: Evidence, tracking_uri: str | None) -> tuple[RunPapers, ...]:
    """The papers of the evidence itself, then those of earlier explanations of the version that have sign-offs.

    Raises:
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    client, model = connect(tracking_uri), evidence.record.model
    with tracking_errors(f"read the sign-offs of {model.uri}", client.tracking_uri):
        own = _papers(client, str(evidence.run_id))
        runs = [run.info.run_id for run in runs_of_version(client, model.name, model.version)]
        others = [run_id for run_id in runs if run_id != evidence.run_id and _names(client, run_id, SIGN_OFFS)]
        return own, *(_papers(client, run_id) for run_id in others)


def fetch_version_papers(name: str, version: str, tracking_uri: str | None) -> VersionPapers | None:
    """The papers of every complete explanation of a version; None when there is no such version. No tag of it is asked.

    Raises:
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    client = connect(tracking_uri)
    with tracking_errors(f"read the explanations of models:/{name}/{version}", client.tracking_uri):
        try:
            known = client.get_model_version(name, version)
        except Exception as error:
            if is_missing(error):
                return None
            raise
        runs = [run.info.run_id for run in runs_of_version(client, name, version)]
        empty = [run_id for run_id in runs if RECORD not in _names(client, run_id, "calig")]
        papers = tuple(_papers(client, run_id) for run_id in runs if run_id not in empty)
        return VersionPapers(source_run_id=known.run_id or None, papers=papers, empty=tuple(empty))


def noted_sign_off(evidence: Evidence, tracking_uri: str | None) -> str | None:
    """The digest of the last sign-off as the version's tag has it; None when there is no such tag."""
    client, model = connect(tracking_uri), evidence.record.model
    with tracking_errors(f"read the tags of {model.uri}", client.tracking_uri):
        tags = client.get_model_version(model.name, model.version).tags
    return tags.get(f"{TAG}.digest") or None


def add_sign_off(evidence: Evidence, entry: SignOff, name: str, digest: str, tracking_uri: str | None) -> None:
    """Put `entry` beside the record as the file `name`, and mirror it on the version. Nothing is ever overwritten.

    Raises:
        InputError: there is such a file: somebody signed off at the same time.
        CouldNotRunError: the server does not answer, or keeps something else than what was sent.
    """
    client, run_id, model = connect(tracking_uri), str(evidence.run_id), evidence.record.model
    with tracking_errors(f"store the sign-off of {model.uri}", client.tracking_uri):
        if name in _names(client, run_id, SIGN_OFFS):
            raise InputError("Somebody else has signed off in the meantime.", got=name, next_step="look at it, then run again")
        content = entry.canonical()
        _store(client, run_id, name, content)
        if _read(client, run_id, f"{SIGN_OFFS}/{name}") != content:
            raise CouldNotRunError("The sign-off was not stored as it was sent.", got=name, next_step="calig verify MODEL")
        for key, value in _mirror(entry, digest).items():
            client.set_model_version_tag(model.name, model.version, key, value)


def download_evidence(evidence: Evidence, folder: Path, tracking_uri: str | None) -> Path:
    """All files of the explanation, tables too, in `folder`; the place where record.json lies.

    Raises:
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    client = connect(tracking_uri)
    folder.mkdir(parents=True, exist_ok=True)
    with tracking_errors(f"download the evidence of run {evidence.run_id}", client.tracking_uri):
        return Path(client.download_artifacts(str(evidence.run_id), "calig", str(folder)))


def _mirror(entry: SignOff, digest: str) -> dict[str, str]:
    return {
        TAG: entry.ruling.value,
        f"{TAG}.reviewer": entry.reviewer,
        f"{TAG}.expires": "" if entry.expires is None else entry.expires.isoformat(),
        f"{TAG}.digest": digest,
    }


def _papers(client: Any, run_id: str) -> RunPapers:
    names = _names(client, run_id, SIGN_OFFS)
    return RunPapers(
        run_id=run_id,
        record=_read(client, run_id, f"calig/{RECORD}"),
        seal=_read(client, run_id, SEAL) if Path(SEAL).name in _names(client, run_id, "calig") else None,
        sign_offs=tuple(_read(client, run_id, f"{SIGN_OFFS}/{name}") for name in names),
    )


def _names(client: Any, run_id: str, folder: str) -> list[str]:
    return sorted(Path(file.path).name for file in client.list_artifacts(run_id, folder) if not file.is_dir)


def _read(client: Any, run_id: str, path: str) -> bytes:
    with TemporaryDirectory() as temporary:
        return Path(client.download_artifacts(run_id, path, temporary)).read_bytes()


def _store(client: Any, run_id: str, name: str, content: bytes) -> None:
    with TemporaryDirectory() as temporary:
        file = Path(temporary) / name
        file.write_bytes(content)
        client.log_artifact(run_id, str(file), SIGN_OFFS)
