"""Read the reference profile that an earlier run left behind: its record and its attribution tables."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from components.addresses import is_address
from components.drift.reading import check_tables
from components.errors import InputError
from components.records import read_record
from schemas.governance import GovernanceReport
from schemas.reference import ReferenceIdentity, ReferenceProfile


def is_results_folder(place: str | Path) -> bool:
    """Whether `place` is the folder of a finished explanation: the record is written last. An address never is one."""
    if is_address(str(place)):
        return False
    return (Path(place) / "record.json").is_file()


def load_record(folder: Path) -> GovernanceReport:
    """The record in a results folder.

    Raises:
        InputError: there is none, it is of a newer schema, or cannot be read.
    """
    path = folder / "record.json"
    if not path.is_file():
        raise InputError(
            "this folder holds no finished explanation",
            got=folder,
            allowed="a folder with record.json and attributions/*.parquet",
        )
    return read_record(path.read_bytes(), path)


def load_profile(folder: Path) -> ReferenceProfile:
    """The profile in a results folder (`record.json`, `attributions/*.parquet`).

    Raises:
        InputError: as for `load_record`; there are no tables, of another version, or with an id that occurs twice.
    """
    record = load_record(folder)
    tables = sorted((folder / "attributions").glob("*.parquet"))
    if not tables:
        raise InputError("the results folder has no attribution tables", got=folder, next_step="explain the version again")
    check_tables(tables)
    return ReferenceProfile(
        identity=ReferenceIdentity(
            name=record.model.name,
            version=record.model.version,
            alias=record.model.alias,
            uri=record.model.uri,
            method_fingerprint=record.method.fingerprint,
            weights_digest=record.model.weights_digest,
            record_sha256=sha256((folder / "record.json").read_bytes()).hexdigest(),
            accuracy=record.results.accuracy,
        ),
        dataset_digest=record.data.dataset.digest,
        labels=record.model.labels,
        fusion=record.config.attribution.fusion,
        tables=tuple(tables),
        privacy=record.config.privacy,
    )
