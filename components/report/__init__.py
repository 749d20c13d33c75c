"""The report step: one self-contained HTML page about a version, or about all versions of a model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from components.report.checks import CheckLine, folded_checks
from components.report.trend.versions import FIGURES, TrendRow, trend_rows
from schemas.drift import MonitorReport
from schemas.evidence import VersionEntry
from schemas.governance import GovernanceReport

__all__ = ["FIGURES", "CheckLine", "TrendRow", "build", "build_monitor", "build_trend", "folded_checks", "trend_rows"]


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
    from components.report.page import render, write_text

    write_text(render(record, table_paths, reference_table_paths or []), path)


def build_monitor(report: MonitorReport, *, path: Path) -> None:
    """Write the page of `calig monitor` to `path`; errors as above."""
    from components.report.page import environment, write_text

    write_text(environment().get_template("monitor.html.j2").render(report=report, units=("word", "words")), path)


def build_trend(name: str, entries: Sequence[VersionEntry], *, path: Path) -> None:
    """Write the page about all versions of the model `name` to `path`, as one HTML file that loads nothing.

    Args:
        name: the registered model.
        entries: its versions, oldest first; those without an explanation are shown as such.
        path: the HTML file to write; replaced when it exists.

    Raises:
        CouldNotRunError: the page cannot be written.
    """
    from components.report.trend.page import write_trend

    write_trend(name, entries, path, now=datetime.now(UTC))
