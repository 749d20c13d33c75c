"""Files of a published explanation: read record, seal and sign-offs, add a sign-off, download tables or all of it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.errors import CouldNotRunError, InputError
from components.registry.connection import connect, tracking_errors
from components.registry.evidence.runs import runs_of_version
from components.registry.models.download import place_once
from components.table.value_digest import table_digest
from schemas.evidence import Evidence, RunPapers
from schemas.governance import GovernanceReport
from schemas.release import folder_name
from schemas.signature import SignOff
from schemas.tags import SIGN_OFF_ENTRY, Tag, sign_off_entry

RECORD, SEAL, SIGN_OFFS, ATTRIBUTIONS = "record.json", "seal.json", "signoff", "attributions"
_FOLDER = f"calig/{SIGN_OFFS}"
#: Far above any record: whoever can write runs must not fill the memory of a gate.
_MOST_BYTES = 256 << 20


def read_papers(client: Any, run_id: str) -> RunPapers | None:
    """The documents of one run, byte by byte; None when there is no record among them, or documents too large to be ours."""
    sizes = {path: size for folder in ("calig", f"calig/{SIGN_OFFS}") for path, size in _sizes(client, run_id, folder).items()}
    names = {path.removeprefix("calig/") for path in sizes}
    documents = {f"calig/{RECORD}", f"calig/{SEAL}", *(path for path in sizes if path.startswith(f"calig/{SIGN_OFFS}/"))}
    if RECORD not in names or any(sizes.get(path, 0) > _MOST_BYTES for path in documents):
        return None
    sign_offs = sorted(Path(path).name for path in documents if path.startswith(f"calig/{SIGN_OFFS}/"))
    return RunPapers(
        run_id=run_id,
        record=read_artifact(client, run_id, f"calig/{RECORD}"),
        seal=read_artifact(client, run_id, f"calig/{SEAL}") if SEAL in names else None,
        sign_offs=tuple(read_artifact(client, run_id, f"calig/{SIGN_OFFS}/{name}") for name in sign_offs),
    )


def artifact_names(client: Any, run_id: str, folder: str) -> list[str]:
    """Names of the files, not folders, right in `folder`."""
    return sorted(Path(path).name for path in _sizes(client, run_id, folder))


def _sizes(client: Any, run_id: str, folder: str) -> dict[str, int]:
    """Paths and sizes of the files, not folders, right in `folder`."""
    return {file.path: int(file.file_size or 0) for file in client.list_artifacts(run_id, folder) if not file.is_dir}


def read_artifact(client: Any, run_id: str, path: str) -> bytes:
    """The bytes of one file of a run."""
    with TemporaryDirectory() as temporary:
        return Path(client.download_artifacts(run_id, path, temporary)).read_bytes()


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


def fetch_profile(evidence: Evidence, workspace: Path) -> Path:
    """A folder with the `record.json` and `attributions/*.parquet` of this published explanation, as its record names them.

    Raises:
        InputError: the tables are not those that the record was made from.
        CouldNotRunError: the evidence cannot be read: not the same as never explained.
    """
    model, run_id, digest = evidence.record.model, str(evidence.run_id), evidence.papers[0].record_sha256
    place = workspace / "profiles" / folder_name(model.name) / model.version / digest[:32]
    return place_once(place, origin=digest, fill=lambda folder: _download_profile(connect(), evidence, run_id, folder))


def _download_profile(client: Any, evidence: Evidence, run_id: str, folder: Path) -> None:
    """The record as it was read and verified, and the tables that it names."""
    (folder / RECORD).write_bytes(evidence.papers[0].record)
    with TemporaryDirectory(dir=folder) as temporary:
        with tracking_errors(f"download the evidence of run {run_id}"):
            got = client.download_artifacts(run_id, f"calig/{ATTRIBUTIONS}", temporary)
        Path(got).rename(folder / ATTRIBUTIONS)
    if not any((folder / ATTRIBUTIONS).glob("*.parquet")):
        raise CouldNotRunError(
            "The reference's run holds no attribution tables.", got=run_id, next_step="explain the reference version again"
        )
    changed = _other_tables(evidence.record, folder)
    if changed:
        raise InputError(
            "Published tables are not those that their record was made from.",
            got=f"run {run_id}: {', '.join(changed)}",
            next_step=f"calig verify {evidence.record.model.uri}; then explain it again",
        )


def _other_tables(record: GovernanceReport, folder: Path) -> list[str]:
    """Tables that were changed, are missing, or that the record does not name; a record from before version 2 names none."""
    named = {table.file: table.values_sha256 for table in record.evidence}
    there = {path.relative_to(folder).as_posix() for path in (folder / ATTRIBUTIONS).glob("*.parquet")}
    names = named.keys() | there if named else ()
    return sorted(name for name in names if name not in named or table_digest(folder / name) != named[name])


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
