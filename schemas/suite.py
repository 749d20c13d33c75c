"""The expectation suite a user edits: what must hold of a run's attribution quality, and what a failure means."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from schemas.base import Record, Severity

#: What an expectation can be repeated for; `segment_<name>` is one segment column, `segments` all of them.
FOR_EACH = "class, segments, segment_<name>, control"
_FOR_EACH = re.compile(r"class|segments|segment_.+|control")


class ExpectationMeta(Record):
    """What a reader of the report sees of an expectation, and what its failure means."""

    name: str = Field(min_length=1, description="unique within the suite")
    explanation: str = Field(default="", description="what the check means and what to do when it fails")
    on_failure: Literal["fail", "inconclusive"] = Field(
        default="fail", description="inconclusive: a failure means that there was too little to judge by"
    )


class ExpectationSpec(Record):
    """One expectation over the table with one line per row (its columns: schemas/expectations/default.yaml)."""

    type: str = Field(description="a type of Great Expectations, one of ours, or the import path module:Class of your own")
    kwargs: dict[str, Any] = Field(default_factory=dict)
    for_each: str | None = Field(default=None, description=f"judge it once per value of: {FOR_EACH}")
    min_rows: int = Field(default=30, ge=1, description="with for_each: a value with fewer known rows is not judged")
    too_few: Severity | None = Field(
        default=None,
        description="with for_each: what a value with too few rows does; it is never a pass. critical: the version is "
        "inconclusive; default: warning, or info for an expectation of that severity",
    )
    severity: Severity = Severity.CRITICAL
    meta: ExpectationMeta

    @field_validator("for_each")
    @classmethod
    def _known(cls, for_each: str | None, info: ValidationInfo) -> str | None:
        if for_each is None or not _FOR_EACH.fullmatch(for_each):
            raise ValueError(f"{for_each!r} is nothing to repeat an expectation for; allowed: {FOR_EACH}")
        if info.data.get("kwargs", {}).get("row_condition") is not None:
            raise ValueError("for_each sets row_condition itself; give one of the two")
        return for_each

    @field_validator("min_rows", "too_few")
    @classmethod
    def _repeated(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("for_each", "") is None:
            raise ValueError("it only has a meaning together with for_each")
        return value

    @property
    def severity_when_too_few(self) -> Severity:
        """The severity of a check that is not made because its class, segment or control has too few rows."""
        return self.too_few or (Severity.WARNING if self.severity is Severity.CRITICAL else self.severity)


class Suite(Record):
    """A named list of expectations, at least one."""

    name: str = Field(min_length=1)
    expectations: tuple[ExpectationSpec, ...] = Field(min_length=1)
