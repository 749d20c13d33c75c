"""`calig history`: all versions of a model as a table in the terminal, and as a page."""

from __future__ import annotations

import os
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from components import registry, report, signing
from components.report import TrendRow
from flows.cli.output import Terminal, mark, safe, say
from flows.evidence.standing import verifier

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
    Terminal().print(_table(name, report.trend_rows(entries)))
    if html is not None:
        report.build_trend(name, entries, path=html)
        say(f"page   {os.path.relpath(html)}")
    return 0


def _table(name: str, rows: list[TrendRow]) -> Table:
    table = Table(title=f"versions of {safe(name)}, newest first", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("version", "verdict", "explained", "accuracy ↑", *_SHOWN.values(), "against", "words with a new role"):
        table.add_column(heading, justify="right" if heading[-1] in "↑↓" else "left", overflow="fold")
    for row in reversed(rows):
        table.add_row(*_cells(row))
    return table


def _cells(row: TrendRow) -> list[str]:
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
        *(_plain(row.figures.get(key)) for key in _SHOWN),
        row.reference or "[dim]none[/]",
        words + more + notes,
    ]


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
