"""Read the reference profile that an earlier run left behind: its record and its attribution tables."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from components.errors import InputError
from schemas.drift import ReferenceIdentity, ReferenceProfile
from schemas.governance import GovernanceReport


def load_profile(folder: Path) -> ReferenceProfile:
    """The profile in `folder` (`record.json`, `attributions/*.parquet`).

    Raises:
        InputError: there is no profile in the folder, or it is of another schema.
    """
    record_path, tables = folder / "record.json", sorted((folder / "attributions").glob("*.parquet"))
    if not record_path.is_file() or not tables:
        raise InputError(
            "this folder holds no finished explanation",
            got=folder,
            allowed="a folder with record.json and attributions/*.parquet",
            next_step="explain the reference version first",
        )
    try:
        record = GovernanceReport.model_validate_json(record_path.read_bytes())
    except ValidationError as error:
        raise InputError(
            f"the reference's record cannot be read: {error.error_count()} fields do not fit this version's schema",
            got=record_path,
            next_step="explain the reference version again with this release of calig",
        ) from error
    return ReferenceProfile(
        identity=ReferenceIdentity(
            name=record.model.name,
            version=record.model.version,
            alias=record.model.alias,
            method_fingerprint=record.method.fingerprint,
            weights_digest=record.model.weights_digest,
            accuracy=record.results.accuracy,
        ),
        dataset_digest=record.data.dataset.digest,
        labels=record.model.labels,
        tables=tuple(tables),
    )
