"""What a person or a script gets to see of a replay."""

from __future__ import annotations

import typer
from rich.markup import escape

from flows.terminal import Terminal
from schemas.replay import ReplayOutcome, ReplayReport, RowReplay

_SAID = {
    ReplayOutcome.EXACT: "[green]✓ replayed bit for bit[/]",
    ReplayOutcome.WITHIN: "[green]✓ replayed within the tolerance[/]",
    ReplayOutcome.DIFFERS: "[red]✗ differs[/]",
}


def show_replay(report: ReplayReport, *, as_json: bool) -> int:
    """The report as JSON, or in words; the exit code: 0 replayed, 1 differs."""
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console = Terminal()
        for line in _lines(report):
            console.print(line, highlight=False, soft_wrap=True)
    return 1 if report.outcome is ReplayOutcome.DIFFERS else 0


def _lines(report: ReplayReport) -> list[str]:
    change = "" if report.largest_change is None else f", largest change {report.largest_change:.2g} of a row's attribution"
    lines = [
        f"{_SAID[report.outcome]}  {escape(report.model)} version {escape(report.version)}",
        f"{report.n_exact} of {report.n_rows} rows bit for bit, {report.n_beyond} beyond {report.tolerance:g}{change}",
    ]
    lines += [f"• {escape(cause)}" for cause in report.causes]
    lines += [f"• row {row.row} ({escape(row.id)}): {_change(row)}" for row in report.rows[:10]]
    lines += [f"  {escape(c.name)}: recorded {escape(c.recorded)}, now {escape(c.now)}" for c in report.environment]
    if report.outcome is not ReplayOutcome.EXACT and not report.environment:
        lines.append("  nothing differs in what the record knows of libraries, device and kernels")
    return lines


def _change(row: RowReplay) -> str:
    return ", ".join(part for part in ("" if row.change is None else f"{row.change:.2g}", escape(row.note)) if part)
