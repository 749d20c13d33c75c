"""Read the reference profile that an earlier run left behind: its record and its attribution tables."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypedDict

from components.common.errors import InputError
from components.common.stores import is_address
from components.records import read_record
from components.table.reader import iter_rows
from components.table.rows import check_tables
from schemas.config import DriftConfig
from schemas.drift import Coverage
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


def obstacle(reference: ReferenceProfile, method: str, dataset: str, labels: Sequence[str]) -> str | None:
    """Why `reference` cannot be compared with an explanation by this method fingerprint, data digest and labels, if so."""
    if set(reference.labels) != set(labels):
        return f"the two versions have different classes: {', '.join(reference.labels)} and {', '.join(labels)}"
    if reference.dataset_digest != dataset:
        return "the reference was explained on other rows (the data digests differ)"
    if reference.identity.method_fingerprint != method:
        return "the reference was explained with other attribution settings (the method fingerprints differ)"
    return None


def other_baseline(reference: Sequence[Path], candidate: Sequence[Path]) -> str | None:
    """Why the tables' attributions have no common zero, if so: `auto` may mean another baseline for each tokenizer."""
    kinds = [_baselines(tables) for tables in (reference, candidate)]
    if not all(kinds) or kinds[0] == kinds[1]:
        return None
    return "the two versions were explained with different baselines: " + " and ".join(", ".join(sorted(k)) for k in kinds)


class _Baseline(TypedDict):
    baseline: str


def _baselines(tables: Sequence[Path]) -> set[str]:
    return {row["baseline"] for row in iter_rows(tables, _Baseline, explained=True)}


def shortfall(coverage: Coverage, config: DriftConfig) -> tuple[str, str] | None:
    """Why too few rows are comparable and what to do, if so."""
    n = coverage.n_compared
    if n < config.min_rows:
        reason = f"{n} examples are explained by both versions; at least {config.min_rows} are needed"
        return reason + _causes(coverage), "explain more rows (a larger --limit or data set), or lower drift.min_rows"
    if coverage.share < config.min_coverage:
        reason = f"only {coverage.share:.0%} of the rows can be compared; at least {config.min_coverage:.0%} are needed"
        return reason + _causes(coverage), "look at the rows that are left out, or lower drift.min_coverage"
    return None


def _causes(coverage: Coverage) -> str:
    return f" ({', '.join(coverage.left_out)})" if coverage.left_out else ""
