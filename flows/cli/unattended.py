"""Commands of unattended operation, and what a pass shows: `calig setup`, `reconcile`, `listen`, `alerts resend`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from components.common.errors import InputError
from flows.cli.command import CommandGroup, DebugOption, command
from flows.cli.output import Terminal, mark, safe
from flows.common.process import DEFAULT_OUTPUT
from schemas.base import Verdict
from schemas.trigger import Action, Pass, Step

alerts_app = typer.Typer(no_args_is_help=True, help="Messages about verdicts: see what waits, send it again.")
WatchOption = Annotated[
    Path | None,
    typer.Option(help="YAML file that says which models are watched and how. Default: CALIG_WATCH. Example: deploy/watch.yaml."),
]
_COLOURS = {
    Action.STARTED: "green",
    Action.RESUMED: "yellow",
    Action.GAVE_UP: "red",
    Action.ERROR: "red",
    Action.UNDER_WAY: "cyan",
}
_VERDICTS = {verdict.value for verdict in Verdict}


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    for function in (setup, reconcile, listen):
        app.command(rich_help_panel=CommandGroup.UNATTENDED)(function)
    app.add_typer(alerts_app, name="alerts", rich_help_panel=CommandGroup.UNATTENDED)


@command()
def setup(
    prefect_file: Annotated[
        Path | None,
        typer.Option(help="Deployments to make; their work pools are created. Default: calig's own, deploy/prefect.yaml."),
    ] = None,
    kubernetes_pool: Annotated[
        list[str] | None,
        typer.Option(metavar="POOL", help="A work pool whose runs become Kubernetes jobs; repeatable. All others: processes."),
    ] = None,
    job_patch: Annotated[
        Path | None,
        typer.Option(
            help="Changes to Prefect's own job template of the Kubernetes pools: a JSON Patch, for instance "
            "deploy/k8s/components/gpu/job-patch.yaml."
        ),
    ] = None,
    job_variable: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Default of a variable of that template, for instance image; repeatable."),
    ] = None,
    gpu_slots: Annotated[int, typer.Option(min=1, help="How many runs may hold a GPU at the same time.")] = 1,
    webhook_url: Annotated[
        str | None,
        typer.Option(
            help="The listener as MLflow reaches it: http://HOST:PORT/webhooks/mlflow. The secret comes from "
            "CALIG_WEBHOOK_SECRET_FILE or CALIG_WEBHOOK_SECRET. Default: no webhook."
        ),
    ] = None,
    signing_key: Annotated[
        Path | None,
        typer.Option(
            envvar="CALIG_SIGNING_KEY_FILE", help="Key that signs records; made when there is no such file. Default: no key."
        ),
    ] = None,
    trusted_keys: Annotated[
        Path | None,
        typer.Option(
            envvar="CALIG_TRUSTED_KEYS",
            help="List of trusted keys, made with that key when there is none. Default: no list.",
        ),
    ] = None,
) -> int:
    """Prepare a signing key, Prefect's work pools, GPU limit and deployments, and MLflow's webhook. Run it as often as you like.

    The Prefect server is the one of PREFECT_API_URL. What is there already stays or is brought up to date; nothing is doubled.
    Runs of the deployments work in CALIG_HOME, by default the folder that has `deploy/`, else this one.

    [bold]Example:[/] calig setup --webhook-url http://127.0.0.1:8080/webhooks/mlflow
    """
    from flows.cli.output import say
    from flows.setup import PREFECT_FILE, SetupOptions, set_up
    from flows.trigger.listener.deliveries import read_secrets

    # the first one signs; those below it are old, and only accepted for a while
    secret = None if webhook_url is None else read_secrets()[0].decode()
    pools = tuple(kubernetes_pool or ())
    variables = dict(_variable(text) for text in job_variable or ())
    servers = (prefect_file or PREFECT_FILE, pools, job_patch, gpu_slots, webhook_url, secret)
    for step in set_up(SetupOptions(*servers, signing_key, trusted_keys, variables)):
        say(step)
    return 0


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError("A job variable has no value.", got=text, allowed="NAME=VALUE, for instance gpus=2")
    return name, value


@command()
def reconcile(
    watch: WatchOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON on standard output.")] = False,
) -> int:
    """Look once at every version of the watched models: start what is missing, resume what died, give up what keeps failing.

    Explanations run where the Prefect deployment explain-release runs; this command only starts them and does not wait. Safe to
    run at any time, from several places at once: each attempt has a key, and Prefect starts it once. On a schedule, use the
    deployment `reconcile` in deploy/prefect.yaml.

    Exit codes: 0 all is judged or under way · 3 a version was given up as inconclusive (its tag calig.reason says why; a new
    value of the tag calig.retry tries again) · 2 the watch file is wrong · 4 registry or Prefect could not be reached.

    [bold]Example:[/] calig reconcile --watch deploy/watch.yaml --dry-run
    """
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


@command()
def listen(
    watch: WatchOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one, which is said.")] = 8080,
    debug: DebugOption = False,
) -> int:
    """Receive MLflow's registry webhooks and start explanations within a second. What is missed here, calig reconcile finds.

    The webhook's secret is read from CALIG_WEBHOOK_SECRET or from the file that CALIG_WEBHOOK_SECRET_FILE names (one secret a
    line: while secrets are rotated, the old and the new one). Without a secret it does not start.

    POST /webhooks/mlflow takes deliveries; GET /healthz (alive), /readyz (can hand over), /metrics (Prometheus).

    In MLflow, create a webhook for model_version.created and model_version_tag.set with this URL and secret. A receiver on
    loopback or inside a cluster needs MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https and MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true on the
    MLflow server.

    [bold]Example:[/] CALIG_WEBHOOK_SECRET_FILE=/run/secrets/calig calig listen --watch deploy/watch.yaml --port 8080
    """
    from components.common.configuration import load_watch
    from flows.trigger.listener.deliveries import read_secrets
    from flows.trigger.request import watch_path

    path = watch_path(watch)
    config, secrets = load_watch(path), read_secrets()
    from flows.trigger.listener.app import serve

    return serve(path, config, secrets, host, port, debug=debug)


@alerts_app.command()
@command()
def resend(
    output: Annotated[Path, typer.Option(help="Where the runs' results and caches are.")] = DEFAULT_OUTPUT,
) -> int:
    """Send the messages that a receiver has not taken yet; each run does so too. Exit code 4 when some still wait.

    [bold]Example:[/] calig alerts resend --output calig-runs
    """
    from flows.alerts import delivery
    from flows.cli.output import say

    return 4 if delivery.resend(output.absolute(), say) else 0


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
