"""The command `calig setup`: what a cluster needs before the first version is explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.entry import exit_with
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group, TrackingOption


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(rich_help_panel=Group.UNATTENDED)(setup)


def setup(  # noqa: PLR0913, PLR0917 - each option of the command is one
    prefect_file: Annotated[Path, typer.Option(help="Deployments to make; their work pools are created.")] = Path(
        "deploy/prefect.yaml"
    ),
    kubernetes_pool: Annotated[
        list[str] | None,
        typer.Option(metavar="POOL", help="A work pool whose runs become Kubernetes jobs; repeatable. All others: processes."),
    ] = None,
    job_template: Annotated[
        Path | None, typer.Option(help="Base job template of the Kubernetes pools, for instance deploy/k8s/job-template.json.")
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
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Prepare a signing key, Prefect's work pools, GPU limit and deployments, and MLflow's webhook. Run it as often as you like.

    The Prefect server is the one of PREFECT_API_URL. What is there already stays or is brought up to date; nothing is doubled.

    [bold]Example:[/] calig setup --webhook-url http://127.0.0.1:8080/webhooks/mlflow
    """
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=DEFAULT_OUTPUT, offline=True)

    def run() -> int:
        from flows.cli.output import say
        from flows.setup import Wanted, set_up
        from flows.trigger.listener.signature import read_secrets

        # the first one signs; those below it are old, and only accepted for a while
        secret = None if webhook_url is None else read_secrets()[0].decode()
        pools = tuple(kubernetes_pool or ())
        servers = (prefect_file, pools, job_template, gpu_slots, webhook_url, secret)
        wanted = Wanted(*servers, signing_key, trusted_keys)
        for step in set_up(wanted):
            say(step)
        return 0

    exit_with(run, debug=debug)
