"""Attribution quality: the expectation suite that a user edits, and QualityReport, what came of it."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from schemas.base import CheckVerdict, Direction, Interval, Record, Severity

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


class FalsifiedRow(Record):
    """One row's findings; None where there was nothing to compare, e.g. fewer than three tokens."""

    row: int = Field(description="position in the data set")
    id: str
    max_sensitivity: float | None = Field(description="lower is better")
    signed: tuple[float | None, ...] = Field(description="per stage, Spearman with the original map; should fall to 0")
    absolute: tuple[float | None, ...] = Field(description="per stage, the same of |values|")


class Falsification(Record):
    """What the attribution step found; `problem` says why there are no rows."""

    stages: tuple[str, ...] = Field(default=(), description="what was randomised, in order; later stages include earlier ones")
    rows: tuple[FalsifiedRow, ...] = ()
    problem: str | None = None


class RandomisationStage(Record):
    """One point of the randomisation curve: mean rank correlation with the original maps; None when no row could be compared."""

    name: str
    signed: float | None
    signed_interval: Interval | None
    absolute: float | None
    absolute_interval: Interval | None
    n: int


class FalsificationSummary(Record):
    """The part of the quality report on the attempt to falsify the maps."""

    row_ids: tuple[str, ...] = Field(description="the rows it was tried on, a seeded sample of the explained ones")
    stages: tuple[RandomisationStage, ...] = Field(description="cascading weight randomisation, head first")
    problem: str | None = Field(default=None, description="why it could not be tried")


class Metric(Record):
    """One number about a run, never without its n and direction."""

    name: str
    value: float | None = Field(description="None when it could not be computed")
    interval: Interval | None = None
    direction: Direction
    n: int = Field(description="rows it was computed on")
    definition: str = Field(description="one line: formula and source")


class Control(Record):
    """A simpler explanation scored on the same rows with the same perturbation.

    `margin` is CA-LIG's (comprehensiveness - sufficiency) minus the control's, paired by row; positive: CA-LIG is better.
    """

    name: str
    n: int | None = Field(default=None, description="rows that both were scored on; None: a record that does not say")
    comprehensiveness: float = Field(description="AOPC over the fractions, higher is better")
    sufficiency: float = Field(description="AOPC over the fractions, lower is better")
    margin: float
    margin_interval: Interval
    beats_ca_lig: bool = Field(description="the whole interval of the margin lies below zero, on at least 30 rows")


class Curve(Record):
    """Mean probability of the predicted class while tokens are removed or kept in order of attribution."""

    method: str
    kind: str = Field(description="deletion (most attributed removed first) or insertion (most attributed kept first)")
    fractions: tuple[float, ...] = Field(description="share of content tokens removed (deletion) or kept (insertion)")
    probability: tuple[float, ...]
    auc: float


class Slice(Record):
    """Which of several like checks one is: an expectation judged once per class, segment or control."""

    group: str = Field(description="name of the expectation in the suite")
    by: Literal["class", "segment", "control"]
    value: str = Field(description="the class, the segment as `column value`, or the control")
    n: int = Field(description="rows of it that have a value")


def in_words(observed: float | str | None) -> str:
    """An observed value as text: numbers with four digits."""
    return f"{observed:.4g}" if isinstance(observed, float) else str(observed)


class Check(Record):
    """One expectation of the suite, judged: as a whole, or for one class, segment or control."""

    name: str
    expectation: str = Field(description="Great Expectations type")
    verdict: CheckVerdict
    severity: Severity
    observed: float | str | None
    requirement: str = Field(description="what was required, in words")
    explanation: str = Field(default="", description="what the check means and what to do when it fails")
    slice: Slice | None = Field(default=None, description="None: the check is about all rows")


class ScorerRecord(Record):
    """Which runtime scored the perturbed inputs, and how it agrees with torch."""

    runtime: str = Field(description="onnxruntime, torch, or both: shards were scored by either; none: nothing was scored")
    providers: tuple[str, ...] = Field(description="execution providers in use, or the torch device")
    parity_max_abs: float | None = Field(
        default=None, description="largest |logit difference| to torch on real rows; None for torch"
    )
    parity_rows: int = 0
    fallback_reason: str | None = Field(default=None, description="why torch scores although ONNX Runtime was asked for")
    exported_digest: str | None = None


class QualityReport(Record):
    """The attribution quality of one run."""

    verdict: CheckVerdict
    suite: str
    suite_digest: str | None = Field(
        default=None, description="SHA-256 of what the suite judges; None: nothing was judged, or a record from before version 3"
    )
    metrics: tuple[Metric, ...]
    controls: tuple[Control, ...]
    curves: tuple[Curve, ...]
    checks: tuple[Check, ...]
    scorer: ScorerRecord
    falsification: FalsificationSummary | None = Field(default=None, description="None: it was not to be tried")
    perturbation: Literal["replace", "delete", "zero", "blur"] | None = Field(
        default=None, description="how content was removed, as settled for this model; None: nothing was scored"
    )
    warnings: tuple[str, ...] = Field(default=(), description="what a reader must know first, e.g. a control that beats CA-LIG")
