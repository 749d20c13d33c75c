"""Method and limits: how the attributions were computed, on what, and what they cannot say."""

from __future__ import annotations

from typing import Any

from components.report.drawing.charts import margin_strips
from components.report.sections import Material, Section


def _context(material: Material) -> dict[str, Any]:
    """Every fusion that was tried, best first, with its margin over the default drawn."""
    choice = material.record.method.fusion_choice
    tried = sorted(choice.candidates if choice else (), key=lambda candidate: -candidate.difference)
    return {"fusions": list(zip(tried, margin_strips(tried), strict=True))}


SECTION = Section(70, "method", "Method", "method.html.j2", _context)
