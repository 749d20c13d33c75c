"""Sections of the report: what one is, the material that it draws on, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from components.report.answers import unit_of_outputs
from components.report.choice import Briefs
from components.report.payload import Embedded
from schemas.base import CheckVerdict
from schemas.drift import WordShift
from schemas.governance import GovernanceReport


@dataclass(frozen=True, slots=True)
class Material:
    """The record, both versions' tables, what is kept of every row of the candidate, and the rows packed into the page."""

    record: GovernanceReport
    tables: list[Path]
    reference_tables: list[Path]
    briefs: Briefs
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
    def unit_of_outputs(self) -> float | None:
        """Of a compared regression, what changes of its predictions are measured in."""
        return unit_of_outputs(self.record.drift)

    @property
    def firing(self) -> list[WordShift]:
        """Word shifts beyond their limit, in the record's order: strongest first."""
        return [shift for shift in self.record.drift.word_shifts if shift.fires]


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report: a module of this folder, which names it `SECTION`, and a template.

    The template gets what `context` returns, and what every section gets: `record`, `units`, `embedded` and `size`, which
    macros.html.j2 uses too. Its outermost element has `anchor` as id. Without a `title` the navigation leaves the section
    out; a `context` of None leaves the section out of the page. Sections stand in ascending `place`.
    """

    place: int
    anchor: str
    title: str | None
    template: str
    context: Callable[[Material], Mapping[str, Any] | None]


def all_sections() -> list[Section]:
    """The section of every module of this folder, in the order of the page."""
    found: list[Section] = [import_module(f"{__name__}.{module.name}").SECTION for module in iter_modules(__path__)]
    return sorted(found, key=lambda section: section.place)
