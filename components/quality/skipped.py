"""Whether so many rows have no attribution that the others say little about the version."""

from __future__ import annotations

from schemas.base import CheckVerdict, Severity
from schemas.config import QualityConfig
from schemas.quality import Check


def too_few_explained(n_explained: int, n_skipped: int, config: QualityConfig) -> tuple[Check, ...]:
    """An inconclusive check when the explained share of the rows is below `quality.min_explained`; else none.

    The suite judges rows that have an attribution. Without this, a data set of which nearly every picture is missing would
    pass by the few that are there.
    """
    n_rows = n_explained + n_skipped
    if n_rows == 0 or n_explained >= config.min_explained * n_rows:
        return ()
    check = Check(
        name="most rows explained",
        expectation="none",
        verdict=CheckVerdict.INCONCLUSIVE,
        severity=Severity.CRITICAL,
        observed=n_explained / n_rows,
        requirement=f"at least {config.min_explained:.0%} of the rows have an attribution",
        explanation=f"{n_skipped} of {n_rows} rows could not be explained, so the others say little about the version. Mend the "
        "rows (their problems are in the report), or lower quality.min_explained.",
    )
    return (check,)
