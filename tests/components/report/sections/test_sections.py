"""Sections of the report: found by their module, in the page and in the navigation, each on its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import ChoiceLoader, DictLoader, Environment

from components.report import page, sections
from tests.helpers import sample_records
from tests.helpers.html_page import Page

SECTION = """
from components.report.sections import Section
SECTION = Section(65, "licences", "Licences", "licences.html.j2", lambda material: {"n": len(material.briefs)})
"""
TEMPLATE = '<section id="licences"><h2>{{ n|rows }} of {{ record.model.name }}</h2></section>'


def test_a_section_is_one_module_and_one_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "licences.py").write_text(SECTION)
    monkeypatch.setattr(sections, "__path__", [*sections.__path__, str(tmp_path)])
    monkeypatch.setattr(page, "environment", _with_template(page.environment()))
    sample = sample_records.first_release(tmp_path, n=5)
    shown = Page(page.render(sample.record, sample.tables, []))
    links = shown.attributes("href")
    assert links.index("#data") < links.index("#licences") < links.index("#method")
    ids = shown.attributes("id")
    assert ids.index("data") < ids.index("licences") < ids.index("method")
    assert "<h2>5 rows of review-sentiment</h2>" in shown.source


def _with_template(made: Environment):
    made.loader = ChoiceLoader([made.loader, DictLoader({"licences.html.j2": TEMPLATE})])
    return lambda: made


def test_every_section_is_at_its_anchor(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path, n=40)
    ids = Page(page.render(sample.record, sample.tables, sample.reference_tables or [])).attributes("id")
    anchors = [section.anchor for section in sections.all_sections()]
    assert anchors == [name for name in ids if name in anchors]
    assert {clause.section for clause in sample.record.crosswalk} <= set(anchors)
