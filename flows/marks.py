"""A verdict as people and scripts see it: a sign and a word in colour, and an exit code."""

from __future__ import annotations

from schemas.base import Verdict

EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
_MARKS = {
    "pass": "[green]✓ pass[/]",
    "fail": "[red]✗ fail[/]",
    "inconclusive": "[yellow]? inconclusive[/]",
    "not_applicable": "[dim]– not applicable[/]",
}


def mark(verdict: str) -> str:
    """A verdict as a sign and a word, in colour."""
    return _MARKS[verdict]
