"""The expectation suite a user edits: what must hold of a run's attribution quality, and what a failure means."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from schemas.base import Record, Severity


class ExpectationMeta(Record):
    """What a reader of the report sees of an expectation, and what its failure means."""

    name: str = Field(min_length=1)
    explanation: str = Field(default="", description="what the check means and what to do when it fails")
    on_failure: Literal["fail", "inconclusive"] = Field(
        default="fail", description="inconclusive: a failure means that there was too little to judge by"
    )


class ExpectationSpec(Record):
    """One expectation over the table with one line per row (its columns: schemas/expectations/default.yaml)."""

    type: str = Field(description="a Great Expectations type, or expect_column_mean_lower_bound_to_be_above")
    kwargs: dict[str, Any] = Field(default_factory=dict)
    severity: Severity = Severity.CRITICAL
    meta: ExpectationMeta


class Suite(Record):
    """A named list of expectations, at least one."""

    name: str = Field(min_length=1)
    expectations: tuple[ExpectationSpec, ...] = Field(min_length=1)
