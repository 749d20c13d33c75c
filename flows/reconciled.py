"""What a pass of `calig reconcile` shows: one line per version, what was done and why, and the exit code."""

from __future__ import annotations

from collections import Counter

import typer
from rich.table import Table

from flows.marks import mark
from flows.terminal import Terminal, safe
from schemas.base import Verdict
from schemas.trigger import Action, Pass, Step

_COLOURS = {
    Action.STARTED: "green",
    Action.RESUMED: "yellow",
    Action.GAVE_UP: "red",
    Action.ERROR: "red",
    Action.UNDER_WAY: "cyan",
}
_VERDICTS = {verdict.value for verdict in Verdict}


def show_pass(done: Pass, *, as_json: bool) -> int:
    """The pass as JSON or as a table. 4: something could not be handed over; 3: a version was given up; else 0."""
    if as_json:
        typer.echo(done.model_dump_json(indent=2))
    else:
        console = Terminal()
        console.print(_table(done))
        console.print(_summary(done), highlight=False)
        for name in done.empty:
            console.print(f"[yellow]![/] {safe(name)} is watched and has no version: is the name right?", highlight=False)
    actions = {step.action for step in done.steps}
    return 4 if Action.ERROR in actions else 3 if Action.GAVE_UP in actions else 0


def _table(done: Pass) -> Table:
    title = "what would be done" if done.dry_run else "what was done"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for heading in ("version", "action", "attempt", "verdict", "detail"):
        table.add_column(heading, overflow="fold")
    for step in done.steps:
        table.add_row(*_cells(step))
    return table


def _cells(step: Step) -> tuple[str, ...]:
    colour = _COLOURS.get(step.action, "dim")
    verdict = mark(step.verdict) if step.verdict in _VERDICTS else safe(step.verdict or "")
    attempt = "" if step.attempt is None else str(step.attempt)
    return safe(f"{step.model}/{step.version}"), f"[{colour}]{step.action}[/]", attempt, verdict, safe(step.detail)


def _summary(done: Pass) -> str:
    if not done.steps:
        return "there is no version of any watched model"
    counts = Counter(step.action for step in done.steps)
    return f"{len(done.steps)} versions: " + ", ".join(f"{count} {action}" for action, count in counts.most_common())
