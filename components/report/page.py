"""The report of one version: every section of `sections/` on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.report import rows
from components.report.drawing import charts
from components.report.payload import embed
from components.report.section import Material
from components.report.sections import all_sections
from components.report.template_environment import environment
from schemas.governance import GovernanceReport


def render(record: GovernanceReport, tables: list[Path], reference_tables: list[Path]) -> str:
    """The page as HTML; see `components.report.build`."""
    briefs = rows.read_briefs(tables)
    material = Material(record, tables, reference_tables, briefs, embed(record, briefs, tables, reference_tables))
    templates, common = environment(), _common(material)
    shown = [
        (section, templates.get_template(section.template).render(common | context))
        for section in all_sections()
        if (context := section.context(material)) is not None
    ]
    return templates.get_template("page.html.j2").render(common, sections=shown)


def _common(material: Material) -> dict[str, Any]:
    """What every template of the page gets."""
    return {
        "record": material.record,
        "units": material.units,
        "embedded": material.embedded,
        "size": {
            "width": charts.WIDTH,
            "height": charts.HEIGHT,
            "left": charts.LEFT,
            "right": charts.RIGHT,
            "strip": charts.STRIP,
        },
    }
