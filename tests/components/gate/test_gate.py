"""The gate: the published verdict, stricter on request and never milder; and JUnit XML that CI systems can read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from components.common.errors import CouldNotRunError
from components.gate import judge, write_junit
from schemas.base import CheckVerdict, Severity, Verdict
from schemas.config import GateConfig
from schemas.evidence import Evidence
from schemas.gate import GateResult
from schemas.governance import GovernanceReport
from tests.helpers import sample_probe, sample_records


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.drifted(tmp_path_factory.mktemp("drifted")).record.model_copy(update={"probe": None})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.first_release(tmp_path_factory.mktemp("first")).record


def judged(record: GovernanceReport, days: float = 1.0, **config: object) -> GateResult:
    now = record.created_at + timedelta(days=days)
    evidence = Evidence(record=record, run_id="r1", registered=record.model.registered)
    return judge(evidence, GateConfig.model_validate(config), now=now)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_verdict_is_the_records(first: GovernanceReport, verdict: Verdict) -> None:
    record = first.model_copy(update={"decision": first.decision.model_copy(update={"verdict": verdict})})
    result = judged(record)
    assert result.verdict is verdict
    assert result.reasons == record.decision.reasons
    assert result.record_digest == record.content_digest()
    assert result.age_days == 1.0


@pytest.mark.parametrize(
    ("days", "config", "verdict", "said"),
    [
        (29.0, {"max_age_days": 30}, Verdict.PASS, ""),
        (30.1, {"max_age_days": 30}, Verdict.INCONCLUSIVE, "explained 30.1 days ago, required at most 30"),
        (-1.0, {"max_age_days": 30}, Verdict.INCONCLUSIVE, "explained -1.0 days ago"),
        (1.0, {"require_reference": True}, Verdict.INCONCLUSIVE, "compared with nothing"),
    ],
)
def test_what_the_gate_asks_for_makes_a_pass_inconclusive(
    first: GovernanceReport, days: float, config: dict[str, object], verdict: Verdict, said: str
) -> None:
    result = judged(first, days, **config)
    assert result.verdict is verdict
    assert said in result.reasons[0]
    if verdict is Verdict.INCONCLUSIVE:
        assert "--force" in result.next_step


def test_a_failure_stays_a_failure_however_old(drifted: GovernanceReport) -> None:
    assert judged(drifted, 400, max_age_days=1).verdict is Verdict.FAIL
    assert judged(drifted, require_reference=True).verdict is Verdict.FAIL


def _cases(path: Path) -> dict[str, ET.Element]:
    root = ET.parse(path).getroot()  # noqa: S314 - our own file
    assert root.tag == "testsuites"
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(root.get(name, "-1")) == len(list(root.iter(tag))) == sum(int(s.get(name, "-1")) for s in root)
    return {f"{case.get('classname')}.{case.get('name')}": case for case in root.iter("testcase")}


def test_junit_has_every_check_and_fails_where_the_version_fails(drifted: GovernanceReport, tmp_path: Path) -> None:
    path = tmp_path / "out" / "gate.xml"
    result = judged(drifted)
    write_junit(result, path)
    cases = _cases(path)
    assert len(cases) == len(result.checks)
    failed = {name for name, case in cases.items() if case.find("failure") is not None}
    model = "review-sentiment"
    assert failed == {
        f"calig.gate.{model}.published verdict",
        f"calig.drift.{model}.verdict",
        *(f"calig.drift.{model}.word shift: {s.word}" for s in drifted.drift.word_shifts if s.fires),
    }
    warned = cases[f"calig.drift.{model}.rank_agreement (all)"].find("skipped")
    assert warned is not None
    assert "beyond its limit" in warned.get("message", "")
    unmeasured = cases[f"calig.drift.{model}.rank_agreement (source=audience)"].find("skipped")
    assert unmeasured is not None
    assert "does not apply" in unmeasured.get("message", "")
    assert [p.name for p in path.parent.iterdir()] == ["gate.xml"]


def test_a_word_that_warns_is_a_check_that_fails_nothing(drifted: GovernanceReport, tmp_path: Path) -> None:
    shift = drifted.drift.word_shifts[0].model_copy(update={"fires": False, "warns": True})
    passed = drifted.drift.model_copy(update={"verdict": CheckVerdict.PASS, "word_shifts": (shift,)})
    write_junit(judged(drifted.model_copy(update={"drift": passed})), tmp_path / "gate.xml")
    case = _cases(tmp_path / "gate.xml")[f"calig.drift.review-sentiment.word shift: {shift.word}"]
    assert case.find("failure") is None
    assert case.find("skipped") is not None


def test_probed_words_are_test_cases_and_no_two_cases_share_a_name(drifted: GovernanceReport, tmp_path: Path) -> None:
    probe = sample_probe.probe(("NEG", "POS"))
    shift = drifted.drift.word_shifts[0]
    sliced = (*drifted.drift.word_shifts, shift.model_copy(update={"slice": "class = POS"}))
    record = drifted.model_copy(update={"probe": probe, "drift": drifted.drift.model_copy(update={"word_shifts": sliced})})
    write_junit(judged(record), tmp_path / "gate.xml")
    cases = _cases(tmp_path / "gate.xml")
    assert len(cases) == len(judged(record).checks), "names are unique"
    assert any(f"probed word: {sample_probe.TRIGGER}" in name for name in cases)
    assert any("(class = POS)" in name for name in cases)


def test_junit_of_a_pass_has_no_failure_and_of_an_undecided_one_an_error(first: GovernanceReport, tmp_path: Path) -> None:
    calm = first.quality.model_copy(
        update={"checks": tuple(c.model_copy(update={"verdict": CheckVerdict.PASS}) for c in first.quality.checks)}
    )
    record = first.model_copy(update={"quality": calm})
    write_junit(judged(record), tmp_path / "a.xml")
    assert not [case for case in _cases(tmp_path / "a.xml").values() if case.find("failure") or case.find("error")]
    write_junit(judged(record, 9, max_age_days=1), tmp_path / "b.xml")
    assert _cases(tmp_path / "b.xml")["calig.gate.review-sentiment.age"].find("error") is not None


def test_junit_takes_any_text(drifted: GovernanceReport, tmp_path: Path) -> None:
    check = drifted.quality.checks[0].model_copy(
        update={"name": 'a<b>&"\x00\x1b', "verdict": CheckVerdict.FAIL, "severity": Severity.CRITICAL, "explanation": "]]>"}
    )
    record = drifted.model_copy(update={"quality": drifted.quality.model_copy(update={"checks": (check,)})})
    result = judge(Evidence(record=record), GateConfig(), now=record.created_at)
    write_junit(result, tmp_path / "a.xml")
    assert any('a<b>&"' in name for name in _cases(tmp_path / "a.xml"))


def test_a_file_that_cannot_be_written(first: GovernanceReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CouldNotRunError, match="--junit"):
        write_junit(judged(first), tmp_path / "file" / "gate.xml")
