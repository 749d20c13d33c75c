"""The report step: one self-contained HTML page from the governance record and the attribution table."""

from __future__ import annotations

from pathlib import Path

from components.report.checks import folded_checks
from schemas.governance import GovernanceReport
from schemas.monitor import MonitorReport

__all__ = ["build", "build_monitor", "folded_checks"]


def build(record: GovernanceReport, table_paths: list[Path], reference_table_paths: list[Path] | None, *, path: Path) -> None:
    """Write the report to `path` as one HTML file that loads nothing: no network, no other file.

    Args:
        record: the finished governance record; the page shows it and decides nothing of its own.
        table_paths: shards of the candidate's attribution table (schemas/attribution.py); may be empty.
        reference_table_paths: shards of the reference version's table, to mark changed answers and to draw the
            reference's words beside the candidate's; None on a first release.
        path: the HTML file to write; replaced when it exists.

    Raises:
        CouldNotRunError: a table cannot be read, or the page cannot be written.
    """
    from components.report.page import write_page

    write_page(record, table_paths, reference_table_paths or [], path)


def build_monitor(report: MonitorReport, *, path: Path) -> None:
    """Write the page of `calig monitor` to `path`; errors as above."""
    from components.report.page import environment, write_text

    write_text(environment().get_template("monitor.html.j2").render(report=report, units=("word", "words")), path)
