"""GateResult: the published verdict, the gate's own requirements, and the action taken."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from schemas.base import CheckVerdict, Record, Severity, Verdict


class GateCheck(Record):
    """One thing that a version must hold, judged."""

    group: str = Field(description="quality, drift, probe or gate")
    name: str
    verdict: CheckVerdict
    severity: Severity
    text: str = Field(description="what was seen against what is required")

    @property
    def blocks(self) -> bool:
        """Whether it keeps the version from passing."""
        undecided = self.verdict in {CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE}
        return undecided and self.severity is Severity.CRITICAL


class GateResult(Record):
    """The answer to "may this version go on?"; printed by `calig gate --json`."""

    model: str
    version: str
    verdict: Verdict
    reasons: tuple[str, ...]
    next_step: str
    checks: tuple[GateCheck, ...]
    explained_at: datetime
    age_days: float
    fingerprint: str
    record_digest: str = Field(description="SHA-256 of the record that was judged")
    signature: str = Field(description="signed by whom, or NOT SIGNED")
    run_id: str | None
    run_url: str | None
    promoted: str | None = Field(default=None, description="what was done with @champion; None: nothing was asked")
