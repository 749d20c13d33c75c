"""Quality report of a run whose quality could not be measured."""

from __future__ import annotations

from schemas.base import CheckVerdict, Severity
from schemas.quality import Check, QualityReport, ScorerRecord


def unjudged_quality(suite: str, reason: str) -> QualityReport:
    """The quality report of a run whose quality could not be measured: inconclusive, with the reason as its only check."""
    check = Check(
        name="the quality measurement",
        expectation="none",
        verdict=CheckVerdict.INCONCLUSIVE,
        severity=Severity.CRITICAL,
        observed=None,
        requirement="every perturbed input can be scored and every expectation evaluated",
        explanation=reason,
    )
    scorer = ScorerRecord(runtime="none", providers=())
    return QualityReport(
        verdict=CheckVerdict.INCONCLUSIVE, suite=suite, metrics=(), controls=(), curves=(), checks=(check,), scorer=scorer
    )
