"""Whether two explanations can be compared, and enough of their rows; else why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.config import DriftConfig
from schemas.drift import Coverage
from schemas.reference import ReferenceProfile


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


def _baselines(tables: Sequence[Path]) -> set[str]:
    found = (pc.unique(pq.read_table(path, columns=["baseline"])["baseline"]).to_pylist() for path in tables)
    return {kind for kinds in found for kind in kinds if kind is not None}


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
