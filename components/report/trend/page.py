"""The trend page, written as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from components.report.page import environment, inlined, write_text
from components.report.trend.charts import HEIGHT, LEFT, RIGHT, TOP, WIDTH, trend_charts
from components.report.trend.versions import FIGURES, count_by_verdict, trend_rows
from schemas.evidence import VersionEntry


def write_trend(name: str, entries: Sequence[VersionEntry], path: Path, *, now: datetime) -> None:
    """Write the page about the model `name` to `path`; `entries` oldest first, at least one.

    Raises:
        CouldNotRunError: the page cannot be written.
    """
    rows = trend_rows(entries)
    context = {
        "name": name,
        "rows": rows,
        "newest": next((row for row in reversed(rows) if row.verdict is not None), None),
        "charts": trend_charts(rows),
        "counts": count_by_verdict(rows),
        "figures": FIGURES,
        "now": now,
        "style": inlined("report.css") + inlined("trend.css"),
        "size": {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "strip": 0},
        "units": ("word", "words"),
    }
    write_text(environment().get_template("trend.html.j2").render(context), path)
