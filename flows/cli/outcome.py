"""Output for people and scripts about finished runs: explanation, monitoring, publishing, replay, and all versions of a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from components import registry, report, signing
from components.drift import load_record
from components.report import CheckLine, TrendRow, folded_checks
from flows.cli.output import EXIT_CODES, Terminal, mark, safe, say
from flows.evidence.standing import verifier
from flows.pipeline.results import Outcome
from schemas.base import CheckVerdict, Verdict
from schemas.drift import MonitorReport
from schemas.evidence import ReplayOutcome, ReplayReport, RowReplay
from schemas.governance import GovernanceReport
from schemas.quality import Check, in_words


def exit_code(outcome: Outcome) -> int:
    """0 pass, 1 fail, 3 inconclusive."""
    return EXIT_CODES[outcome.record.decision.verdict]


def show(outcome: Outcome, *, as_json: bool) -> None:
    """The record as JSON on standard output, or a summary for people."""
    if as_json:
        typer.echo(outcome.record.model_dump_json(indent=2))
        return
    console = Terminal()
    record = outcome.record
    if outcome.reused:
        console.print("already explained with this data and configuration; --force does it again", style="dim")
    console.print(_headline(record))
    console.print(_checks(record))
    for line in _places(outcome):
        console.print(line, highlight=False, soft_wrap=True)


def show_monitored(report: MonitorReport, folder: Path, *, as_json: bool) -> int:
    """The monitoring report as JSON, or its verdict for people; the exit code is the verdict's."""
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        console = Terminal()
        lines = [f"{mark(report.verdict)}  {safe(report.model.name)} {report.model.version}", f"• {safe(report.reason)}"]
        lines += [f"next: {safe(report.next_step)}"] if report.next_step else []
        console.print(Panel("\n".join(lines), title="reasons on later data", title_align="left"))
        console.print(f"report   {os.path.relpath(folder / 'monitor.html')}", highlight=False, soft_wrap=True)
    return EXIT_CODES[Verdict(report.verdict.value)]


def publish_folder(folder: Path) -> int:
    """Publish the results in `folder`; the exit code is the verdict's."""
    record = load_record(folder)
    run = registry.publish(record, folder=folder)
    say(f"published as run {run.run_id}" + (f": {run.run_url}" if run.run_url else ""))
    return EXIT_CODES[record.decision.verdict]


def _headline(record: GovernanceReport) -> Panel:
    decision = record.decision
    lines = [f"{mark(decision.verdict)}  {safe(record.model.uri)}", *(f"• {safe(reason)}" for reason in decision.reasons)]
    return Panel("\n".join([*lines, f"next: {safe(decision.next_step)}"]), title="verdict", title_align="left")


def _checks(record: GovernanceReport) -> Table:
    table = Table(title="attribution quality", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("check", "verdict", "observed", "required"):
        table.add_column(heading, justify="right" if heading == "observed" else "left")
    for line in folded_checks(record.quality.checks):
        table.add_row(*_cells(line.name, line), safe(line.requirement))
        for part in line.parts:
            if part.verdict is CheckVerdict.FAIL and part.slice is not None:
                table.add_row(*_cells(f"  {part.slice.value}", part), "")
    return table


def _cells(name: str, check: CheckLine | Check) -> tuple[str, str, str]:
    """Name, verdict and observed value."""
    minor = check.verdict is not CheckVerdict.PASS and check.severity != "critical"
    return safe(name), mark(check.verdict) + (" (warning)" if minor else ""), safe(in_words(check.observed))


def _places(outcome: Outcome) -> Iterator[str]:
    for warning in outcome.record.quality.warnings:
        yield f"[yellow]![/] {safe(warning)}"
    yield f"report   {os.path.relpath(outcome.folder / 'report.html')}"
    yield f"record   {os.path.relpath(outcome.folder / 'record.json')}"
    if outcome.published is not None:
        yield f"MLflow   run {outcome.published.run_id}" + (f"  {outcome.published.run_url}" if outcome.published.run_url else "")


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


_WORDS = 3
#: Figures that fit into a terminal, with short headings; the page has all.
_SHOWN = {
    "margin": "margin ↑",
    "comprehensiveness": "compr. ↑",
    "sufficiency": "suff. ↓",
    "rank agreement": "rank agr. ↑",
    "sign flip rate": "sign flip ↓",
}


def show_history(name: str, html: Path | None) -> int:
    """Print the table, write the page; 0."""
    entries = registry.timeline(name, verifier(signing.load_trust(None)))
    Terminal().print(_versions(name, report.trend_rows(entries)))
    if html is not None:
        report.build_trend(name, entries, path=html)
        say(f"page   {os.path.relpath(html)}")
    return 0


def _versions(name: str, rows: list[TrendRow]) -> Table:
    table = Table(title=f"versions of {safe(name)}, newest first", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("version", "verdict", "explained", "accuracy ↑", *_SHOWN.values(), "against", "words with a new role"):
        table.add_column(heading, justify="right" if heading[-1] in "↑↓" else "left", overflow="fold")
    for row in reversed(rows):
        table.add_row(*_version_cells(row))
    return table


def _version_cells(row: TrendRow) -> list[str]:
    number = safe(" ".join([row.version, *(f"@{alias}" for alias in row.aliases)]))
    if row.verdict is None:
        return [number, "[dim]– not explained[/]", *[""] * (3 + len(_SHOWN)), f"[dim]{safe(row.problem or '')}[/]"]
    words = safe(", ".join(row.firing[:_WORDS])) or "[dim]none[/]"
    more = f" and {len(row.firing) - _WORDS} more" if len(row.firing) > _WORDS else ""
    notes = f" [dim]({', '.join(row.broken)})[/]" if row.broken else ""
    return [
        number,
        mark(row.verdict),
        f"{row.explained_at:%Y-%m-%d}",
        "–" if row.accuracy is None else f"{row.accuracy:.1%}",
        *(_figure(row.figures.get(key)) for key in _SHOWN),
        row.reference or "[dim]none[/]",
        words + more + notes,
    ]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
