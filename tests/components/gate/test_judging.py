"""What reviewers and signatures do to a verdict: a rejection fails, a waiver counts only where accepted and in time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from components.common.errors import InputError
from components.gate import check_draft, judge, write_junit
from schemas.base import Verdict
from schemas.config import GateConfig
from schemas.evidence import Evidence, SealState, Standing, Verification
from schemas.gate import GateResult
from schemas.governance import GovernanceReport
from schemas.signature import Ruling, SignOff, SignOffDraft
from tests.helpers import sample_records

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.drifted(tmp_path_factory.mktemp("record"), n=20).record


@pytest.fixture
def judged(record: GovernanceReport):
    def result(verdict: Verdict, ruling: Ruling | None, *, signed_by: str | None = None, **config: object) -> GateResult:
        found = record.model_copy(update={"decision": record.decision.model_copy(update={"verdict": verdict})})
        state = SealState.SIGNED if signed_by else SealState.UNSIGNED
        seal = Verification(state=state, record_sha256="ab" * 32, signed_by=signed_by)
        standing = Standing(seal=seal, sign_off=None if ruling is None else sign_off(ruling))
        return judge(Evidence(record=found), GateConfig.model_validate(config), now=NOW, standing=standing)

    return result


def sign_off(ruling: Ruling, expires: date = date(2026, 11, 20)) -> SignOff:
    return SignOff(
        number=1,
        previous=None,
        record_sha256="ab" * 32,
        model="m",
        version="1",
        ruling=ruling,
        reviewer="Alice",
        reason="leans on a name",
        expires=expires if ruling is Ruling.WAIVED else None,
        signed_at=datetime(2026, 11, 19, tzinfo=UTC),
        signature=None,
    )


@pytest.mark.parametrize(
    ("ruling", "verdict", "changes", "problem"),
    [
        (Ruling.APPROVED, Verdict.PASS, {}, None),
        (Ruling.APPROVED, Verdict.FAIL, {}, "Only a version that passed"),
        (Ruling.APPROVED, Verdict.INCONCLUSIVE, {}, "Only a version that passed"),
        (Ruling.REJECTED, Verdict.PASS, {}, None),
        (Ruling.REJECTED, Verdict.FAIL, {}, None),
        (Ruling.WAIVED, Verdict.FAIL, {"expires": NOW.date()}, None),
        (Ruling.WAIVED, Verdict.INCONCLUSIVE, {"expires": NOW.date()}, None),
        (Ruling.WAIVED, Verdict.PASS, {"expires": NOW.date()}, "nothing to waive"),
        (Ruling.WAIVED, Verdict.FAIL, {"expires": date(2026, 11, 19)}, "expired already"),
        (Ruling.REJECTED, Verdict.FAIL, {"reason": " "}, "names its reviewer and its reason"),
        (Ruling.REJECTED, Verdict.FAIL, {"reviewer": ""}, "names its reviewer and its reason"),
    ],
)
def test_a_decision_has_to_fit_the_verdict(ruling: Ruling, verdict: Verdict, changes, problem: str | None) -> None:
    draft = SignOffDraft.model_validate({"ruling": ruling, "reviewer": "Alice", "reason": "looked at", **changes})
    if problem is None:
        check_draft(draft, verdict, NOW.date())
    else:
        with pytest.raises(InputError, match=problem):
            check_draft(draft, verdict, NOW.date())


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("accept", [True, False])
def test_a_rejected_version_never_passes(judged, verdict: Verdict, accept: bool) -> None:
    result = judged(verdict, Ruling.REJECTED, accept_waivers=accept)
    assert result.verdict is Verdict.FAIL
    assert result.reasons[0] == "rejected by Alice on 2026-11-19: leans on a name"


@pytest.mark.parametrize(
    ("verdict", "ruling", "config", "expected"),
    [
        (Verdict.PASS, None, {}, Verdict.PASS),
        (Verdict.PASS, None, {"require_approval": True}, Verdict.INCONCLUSIVE),
        (Verdict.PASS, Ruling.APPROVED, {"require_approval": True}, Verdict.PASS),
        (Verdict.FAIL, Ruling.APPROVED, {"require_approval": True}, Verdict.FAIL),
        (Verdict.FAIL, None, {"require_approval": True}, Verdict.FAIL),
        (Verdict.FAIL, Ruling.WAIVED, {}, Verdict.FAIL),
        (Verdict.INCONCLUSIVE, Ruling.WAIVED, {}, Verdict.INCONCLUSIVE),
        (Verdict.FAIL, Ruling.WAIVED, {"accept_waivers": True}, Verdict.PASS),
        (Verdict.INCONCLUSIVE, Ruling.WAIVED, {"accept_waivers": True, "require_approval": True}, Verdict.PASS),
        (Verdict.FAIL, Ruling.WAIVED, {"accept_waivers": True, "max_age_days": 1}, Verdict.INCONCLUSIVE),
        (Verdict.PASS, Ruling.WAIVED, {"require_approval": True}, Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_under_a_decision(judged, verdict: Verdict, ruling, config, expected: Verdict) -> None:
    assert judged(verdict, ruling, **config).verdict is expected


def test_a_waived_failure_is_shown_and_no_longer_fails_in_junit(judged, tmp_path: Path) -> None:
    result = judged(Verdict.FAIL, Ruling.WAIVED, accept_waivers=True)
    assert "waived by Alice" in result.reasons[0]
    assert "until 2026-11-20" in result.reasons[0]
    assert not [check for check in result.checks if check.blocks]
    assert any(check.text.startswith("waived: ") for check in result.checks)
    write_junit(result, tmp_path / "gate.xml")
    root = ET.parse(tmp_path / "gate.xml").getroot()  # noqa: S314 - our own file
    assert (root.get("failures"), root.get("errors")) == ("0", "0")


def test_an_expired_waiver_is_an_error_where_it_would_be_needed(record: GovernanceReport) -> None:
    seal = Verification(state=SealState.UNSIGNED, record_sha256="ab" * 32)
    expired = Standing(seal=seal, sign_off=sign_off(Ruling.WAIVED, date(2026, 11, 19)))
    with pytest.raises(InputError, match=r"(?s)has expired, and its verdict is fail.*until 2026-11-19"):
        judge(Evidence(record=record), GateConfig(accept_waivers=True), now=NOW, standing=expired)
    assert judge(Evidence(record=record), GateConfig(), now=NOW, standing=expired).verdict is Verdict.FAIL
