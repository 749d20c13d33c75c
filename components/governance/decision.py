"""The verdict: that of the parts, with reasons and the next step; and the report of quality that could not be measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas.base import CheckVerdict, Severity, Verdict
from schemas.drift import DriftReport
from schemas.governance import Decision
from schemas.probe import ProbeReport
from schemas.quality import Check, QualityReport, ScorerRecord, in_words


def decide(
    quality: QualityReport,
    drift: DriftReport,
    probe: ProbeReport | None = None,
    *,
    owner: str | None = None,
    signing_key: str | None = None,
) -> Decision:
    """Fail if any part fails; else inconclusive if any part could not be judged; else pass.

    The reasons are what led there: what went well is no reason for a failure. `owner` and `signing_key` are stated, not judged.
    """
    stated = {"owner": owner, "signing_key": signing_key}
    comparisons = {"attribution drift": drift} | ({} if probe is None else {"vocabulary probe": probe})
    verdicts = {quality.verdict, *(part.verdict for part in comparisons.values())}
    failing = [c for c in quality.checks if c.verdict is CheckVerdict.FAIL and c.severity is Severity.CRITICAL]
    unsure = [c for c in quality.checks if c.verdict is CheckVerdict.INCONCLUSIVE and c.severity is Severity.CRITICAL]
    reasons = [f"attribution quality: {_in_words(c)}" for c in (*failing, *unsure)]
    found = {v: [f"{name}: {part.reason}" for name, part in comparisons.items() if part.verdict is v] for v in CheckVerdict}
    reasons = [*found[CheckVerdict.FAIL], *reasons, *found[CheckVerdict.INCONCLUSIVE]]
    if CheckVerdict.FAIL in verdicts:
        step = _step_after_failure(comparisons.values(), failing)
        return Decision(verdict=Verdict.FAIL, fired="a part failed", reasons=tuple(reasons), next_step=step, **stated)
    if CheckVerdict.INCONCLUSIVE in verdicts:
        steps = [part.next_step for part in comparisons.values() if part.verdict is CheckVerdict.INCONCLUSIVE]
        step = next(iter(steps), "mend what could not be judged, then explain the version again")
        return Decision(
            verdict=Verdict.INCONCLUSIVE, fired="a part could not be judged", reasons=tuple(reasons), next_step=step, **stated
        )
    return Decision(
        verdict=Verdict.PASS,
        fired="no part failed",
        reasons=(_held(quality), *found[CheckVerdict.PASS], *found[CheckVerdict.NOT_APPLICABLE]),
        next_step="nothing: this version may ship as far as its reasons go",
        **stated,
    )


def _held(quality: QualityReport) -> str:
    """What a pass rests on; checks that were not made are not counted in."""
    n, made = len(quality.checks), sum(c.verdict in {CheckVerdict.PASS, CheckVerdict.FAIL} for c in quality.checks)
    share = f"all {n}" if made == n else f"{made} of {n}"
    return f"attribution quality: {share} checks of suite {quality.suite!r} were made, no critical one failed"


def _in_words(check: Check) -> str:
    if check.verdict is CheckVerdict.INCONCLUSIVE:
        why = check.observed if isinstance(check.observed, str) else check.explanation or check.requirement
        return f"{check.name} could not be judged ({why})"
    return f"{check.name}: {in_words(check.observed)}, required {check.requirement}"


def _step_after_failure(comparisons: Iterable[DriftReport | ProbeReport], failing: Sequence[Check]) -> str:
    steps = [part.next_step for part in comparisons if part.verdict is CheckVerdict.FAIL]
    if steps:
        return steps[0]
    return failing[0].explanation or "open the report and look at the failed checks"


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
