"""What a pass of `calig reconcile` shows: one line per version, what was done and why, and the exit code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flows.cli.entry import exit_with
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group, TrackingOption
from flows.cli.output import Terminal, mark, safe
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


WatchOption = Annotated[
    Path | None,
    typer.Option(help="YAML file that says which models are watched and how. Default: CALIG_WATCH. Example: deploy/watch.yaml."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(rich_help_panel=Group.UNATTENDED)(reconcile)
    app.command(rich_help_panel=Group.UNATTENDED)(listen)


def reconcile(
    watch: WatchOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    tracking_uri: TrackingOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON on standard output.")] = False,
    debug: DebugOption = False,
) -> None:
    """Look once at every version of the watched models: start what is missing, resume what died, give up what keeps failing.

    Explanations run where the Prefect deployment explain-release runs; this command only starts them and does not wait. Safe to
    run at any time, from several places at once: each attempt has a key, and Prefect starts it once. On a schedule, use the
    deployment `reconcile` in deploy/prefect.yaml.

    Exit codes: 0 all is judged or under way · 3 a version was given up as inconclusive (its tag calig.reason says why; a new
    value of the tag calig.retry tries again) · 2 the watch file is wrong · 4 registry or Prefect could not be reached.

    [bold]Example:[/] calig reconcile --watch deploy/watch.yaml --dry-run
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from components.common.configuration import load_watch
        from flows.trigger.request import watch_path

        config = load_watch(watch_path(watch))
        from flows.common.progress import begin, reporting
        from flows.reconcile import run_pass
        from flows.trigger.prefect_runs import PrefectRuns

        with reporting(quiet=json):
            begin("looking at the watched models' versions", None)
            done = run_pass(config, PrefectRuns(config.deployment), dry_run=dry_run)
        return show_pass(done, as_json=json)

    exit_with(run, debug=debug)


def listen(
    watch: WatchOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one, which is said.")] = 8080,
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Receive MLflow's registry webhooks and start explanations within a second. What is missed here, calig reconcile finds.

    The webhook's secret is read from CALIG_WEBHOOK_SECRET or from the file that CALIG_WEBHOOK_SECRET_FILE names (one secret a
    line: while secrets are rotated, the old and the new one). Without a secret it does not start.

    POST /webhooks/mlflow takes deliveries; GET /healthz (alive), /readyz (can hand over), /metrics (Prometheus).

    In MLflow, create a webhook for model_version.created and model_version_tag.set with this URL and secret. A receiver on
    loopback or inside a cluster needs MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https and MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true on the
    MLflow server.

    [bold]Example:[/] CALIG_WEBHOOK_SECRET_FILE=/run/secrets/calig calig listen --watch deploy/watch.yaml --port 8080
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from components.common.configuration import load_watch
        from flows.trigger.listener.signature import read_secrets
        from flows.trigger.request import watch_path

        path = watch_path(watch)
        config, secrets = load_watch(path), read_secrets()
        from flows.trigger.listener.serve import serve

        return serve(path, config, secrets, host, port, debug=debug)

    exit_with(run, debug=debug)
