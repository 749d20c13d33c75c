"""Histories of a model made from the sample records: versions with any verdict, one without an explanation, other data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from schemas.base import CheckVerdict, Verdict
from schemas.evidence import Evidence, VersionEntry
from schemas.governance import GovernanceReport
from tests.helpers import sample_records

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def history(folder: Path, n: int) -> tuple[VersionEntry, ...]:
    """`n` versions: the first a first release, every fifth fails, every seventh was never explained, data changes half-way."""
    drifted, first = (sample_records.drifted(folder / "drifted"), sample_records.first_release(folder / "first"))
    rng = np.random.default_rng(0)
    entries = []
    for index in range(n):
        record = first.record if index == 0 else drifted.record
        number = str(index + 1)
        aliases = ("champion",) if index == max(0, n - 3) else ("candidate",) if index == n - 1 and n > 1 else ()
        created = START + timedelta(days=6 * index)
        if index % 7 == 6:
            entries.append(VersionEntry(version=number, created_at=created, aliases=aliases, problem="never explained"))
            continue
        varied = _varied(record, number, created, fails=index % 5 == 4, rng=rng, late=index >= n // 2 > 3)
        entries.append(
            VersionEntry(version=number, created_at=created, aliases=aliases, evidence=Evidence(record=varied, run_id=number))
        )
    return tuple(entries)


def _varied(
    record: GovernanceReport, version: str, created: datetime, *, fails: bool, rng: np.random.Generator, late: bool
) -> GovernanceReport:
    verdict = Verdict.FAIL if fails else Verdict.INCONCLUSIVE if int(version) % 9 == 8 else Verdict.PASS
    noise = lambda scale: float(rng.normal(0, scale))  # noqa: E731
    metrics = tuple(m.model_copy(update={"value": (m.value or 0) + noise(0.02)}) for m in record.quality.metrics)
    statistics = tuple(
        s.model_copy(update={"value": None if s.value is None else s.value + noise(0.02)}) for s in record.drift.statistics
    )
    shifts = (
        record.drift.word_shifts
        if fails
        else tuple(s.model_copy(update={"shift": s.shift * 0.2, "fires": False}) for s in record.drift.word_shifts)
    )
    drift = record.drift
    if drift.reference is not None:
        reference = drift.reference.model_copy(update={"version": str(int(version) - 1)})
        drift = drift.model_copy(
            update={
                "reference": reference,
                "statistics": statistics,
                "word_shifts": shifts,
                "verdict": CheckVerdict.FAIL if fails else CheckVerdict.PASS,
            }
        )
    dataset = record.data.dataset.model_copy(update={"digest": ("e5" if late else "d1") * 32})
    return record.model_copy(
        update={
            "created_at": created,
            "model": record.model.model_copy(update={"version": version}),
            "results": record.results.model_copy(update={"accuracy": 0.9 + noise(0.01)}),
            "quality": record.quality.model_copy(update={"metrics": metrics}),
            "drift": drift,
            "probe": record.probe if fails else None,
            "data": record.data.model_copy(update={"dataset": dataset}),
            "decision": record.decision.model_copy(update={"verdict": verdict}),
        }
    )
