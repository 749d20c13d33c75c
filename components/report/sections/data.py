"""The data: which rows were explained, and which were not."""

from __future__ import annotations

from components.report.sections import Section

SECTION = Section(60, "data", "Data", "data.html.j2", lambda _: {})
