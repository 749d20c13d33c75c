"""The decision: fail beats inconclusive beats pass, warnings decide nothing, and the reasons say what happened."""

from __future__ import annotations

import pytest

from components import drift
from components.governance import decide, unjudged_quality
from schemas.base import CheckVerdict, Severity, Verdict
from schemas.drift import DriftReport
from schemas.probe import ProbeReport
from schemas.quality import Check, QualityReport, ScorerRecord

PASS, FAIL, UNSURE, NONE = CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE, CheckVerdict.NOT_APPLICABLE


def quality(verdict: CheckVerdict, *checks: Check) -> QualityReport:
    scorer = ScorerRecord(runtime="torch", providers=("cpu",))
    return QualityReport(verdict=verdict, suite="default", metrics=(), controls=(), curves=(), checks=checks, scorer=scorer)


def check(verdict: CheckVerdict, severity: Severity = Severity.CRITICAL) -> Check:
    return Check(
        name="better than random", expectation="x", verdict=verdict, severity=severity, observed=-0.25, requirement="above 0"
    )


def drifted(verdict: CheckVerdict) -> DriftReport:
    return DriftReport(verdict=verdict, reason="the word “btw” took over", next_step="look for “btw”")


@pytest.mark.parametrize(
    ("of_quality", "of_drift", "verdict"),
    [
        (PASS, PASS, Verdict.PASS),
        (PASS, NONE, Verdict.PASS),
        (PASS, UNSURE, Verdict.INCONCLUSIVE),
        (UNSURE, PASS, Verdict.INCONCLUSIVE),
        (UNSURE, NONE, Verdict.INCONCLUSIVE),
        (PASS, FAIL, Verdict.FAIL),
        (FAIL, PASS, Verdict.FAIL),
        (UNSURE, FAIL, Verdict.FAIL),
        (FAIL, UNSURE, Verdict.FAIL),
    ],
)
def test_fail_beats_inconclusive_beats_pass(of_quality, of_drift, verdict):
    assert decide(quality(of_quality, check(of_quality)), drifted(of_drift)).verdict is verdict


def test_reasons_name_the_check_with_what_was_seen_and_what_was_required():
    decision = decide(quality(FAIL, check(FAIL)), drifted(PASS))
    assert decision.reasons[0] == "attribution quality: better than random: -0.25, required above 0"


def test_drift_that_fails_comes_first_and_says_what_to_do():
    decision = decide(quality(FAIL, check(FAIL)), drifted(FAIL))
    assert decision.reasons[0].startswith("attribution drift: the word “btw”")
    assert decision.next_step == "look for “btw”"


def probed(verdict: CheckVerdict) -> ProbeReport:
    return ProbeReport(verdict=verdict, reason="the word “xq” would move the answer", next_step="look for “xq”")


@pytest.mark.parametrize(
    ("of_drift", "of_probe", "verdict"),
    [
        (PASS, PASS, Verdict.PASS),
        (PASS, NONE, Verdict.PASS),
        (PASS, FAIL, Verdict.FAIL),
        (UNSURE, FAIL, Verdict.FAIL),
        (PASS, UNSURE, Verdict.INCONCLUSIVE),
        (FAIL, UNSURE, Verdict.FAIL),
    ],
)
def test_the_vocabulary_probe_is_a_part_of_its_own(of_drift, of_probe, verdict):
    decision = decide(quality(PASS, check(PASS)), drifted(of_drift), probed(of_probe))
    assert decision.verdict is verdict
    assert any(reason == "vocabulary probe: the word “xq” would move the answer" for reason in decision.reasons)


def test_a_probe_that_alone_fails_comes_first_and_says_what_to_do():
    decision = decide(quality(PASS, check(PASS)), drifted(PASS), probed(FAIL))
    assert decision.reasons[0].startswith("vocabulary probe:")
    assert decision.next_step == "look for “xq”"


def test_a_probe_that_could_not_be_made_says_what_to_do():
    assert decide(quality(PASS, check(PASS)), drifted(PASS), probed(UNSURE)).next_step == "look for “xq”"


def test_a_failed_warning_is_no_reason():
    decision = decide(quality(PASS, check(FAIL, Severity.WARNING)), drifted(PASS))
    assert decision.verdict is Verdict.PASS
    assert not any("better than random" in reason for reason in decision.reasons)


def test_quality_that_could_not_be_measured_is_inconclusive_and_says_why():
    decision = decide(unjudged_quality("default", "RuntimeError: out of memory"), drift.not_applicable("first release"))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "out of memory" in decision.reasons[0]


def test_a_pass_counts_only_the_checks_that_were_made():
    made, not_made = check(PASS), check(UNSURE, Severity.WARNING)
    assert "all 2 checks" in decide(quality(PASS, made, made), drifted(PASS)).reasons[0]
    assert "1 of 2 checks" in decide(quality(PASS, made, not_made), drifted(PASS)).reasons[0]


def test_what_could_not_be_judged_says_why():
    unsure = check(UNSURE).model_copy(update={"observed": "not judged: 12 rows, fewer than 30"})
    assert "could not be judged (not judged: 12 rows, fewer than 30)" in decide(quality(UNSURE, unsure), drifted(PASS)).reasons[0]
