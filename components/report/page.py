"""The report of one version: every section of `sections/` on one page."""

from __future__ import annotations

from pathlib import Path

from components.report import rows
from components.report.drawing import charts
from components.report.payload import embed
from components.report.sections import Material, all_sections
from components.report.template_environment import environment
from schemas.governance import GovernanceReport


def render(record: GovernanceReport, tables: list[Path], reference_tables: list[Path]) -> str:
    """The page as HTML; see `components.report.build`."""
    briefs = rows.read_briefs(tables)
    material = Material(record, tables, reference_tables, briefs, embed(record, briefs, tables, reference_tables))
    templates = environment()
    common = {"record": record, "units": material.units, "embedded": material.embedded, "size": charts.SIZE}
    shown = [
        (section, templates.get_template(section.template).render(common | dict(context)))
        for section in all_sections()
        if (context := section.context(material)) is not None
    ]
    return templates.get_template("page.html.j2").render(common, sections=shown)
