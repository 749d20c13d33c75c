"""A section of the report, and the material that it draws on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.report.payload import Embedded
from components.report.rows import Brief
from schemas.base import CheckVerdict
from schemas.drift import WordShift
from schemas.governance import GovernanceReport


@dataclass(frozen=True, slots=True)
class Material:
    """The record, both versions' attribution tables, every explained row of the candidate, and the rows packed into the page."""

    record: GovernanceReport
    tables: list[Path]
    reference_tables: list[Path]
    briefs: list[Brief]
    embedded: Embedded

    @property
    def units(self) -> tuple[str, str]:
        """The name of what has a relevance of its own, one and many."""
        return ("word", "words") if self.record.model.modality == "text" else ("patch", "patches")

    @property
    def compared(self) -> bool:
        """Whether the two versions were compared; else counts in the drift report are defaults, not findings."""
        drift = self.record.drift
        return drift.verdict in {CheckVerdict.PASS, CheckVerdict.FAIL} or drift.power is not None

    @property
    def firing(self) -> list[WordShift]:
        """Word shifts beyond their limit, strongest first."""
        return [shift for shift in self.record.drift.word_shifts if shift.fires]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report: a module of `sections/` that calls its own `SECTION`, and a template.

    The template gets what `context` returns, and what every section gets: `record`, `units` and `embedded`. Its outermost
    element has `anchor` as id. Without a `title` the navigation leaves the section out; a `context` of None leaves the
    section out of the page. Sections stand in ascending `place`.
    """

    place: int
    anchor: str
    title: str | None
    template: str
    context: Callable[[Material], Mapping[str, Any] | None]
