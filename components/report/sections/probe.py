"""The vocabulary probe: words that the data set may not contain, and what they do to the answer."""

from __future__ import annotations

from typing import Any

from components.report.drawing.charts import effect_strip
from components.report.sections import Material, Section


def _context(material: Material) -> dict[str, Any] | None:
    found = material.record.probe
    if found is None:
        return None
    reach = max((abs(effect) for w in found.words for effect in (w.reference_effect, w.candidate_effect)), default=1.0) or 1.0
    return {"found": found, "probed": [(word, effect_strip(word, reach)) for word in found.words]}


SECTION = Section(40, "probe", None, "probe.html.j2", _context)
