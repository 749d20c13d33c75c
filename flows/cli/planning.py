"""Commands that look ahead and explain nothing: `calig estimate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.entry import exit_with
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group, TrackingOption


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    app.command(rich_help_panel=Group.EXPLAIN)(estimate)


def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As in explain.")],
    dataset: Annotated[Path, typer.Option(help="As in explain.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with settings; see `calig config show`.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N rows.")] = None,
    output: Annotated[Path, typer.Option(help="Where downloaded models are kept.")] = DEFAULT_OUTPUT,
    tracking_uri: TrackingOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the estimate as JSON on standard output.")] = False,
    debug: DebugOption = False,
) -> None:
    """Say how long attribution will take here and how much memory it needs, from a few rows; explains and publishes nothing.

    With it come the job variables to set for the work pool's job: `memory`, a quarter above the peak, and `gpus`.

    [bold]Example:[/] calig estimate models:/reviews/2 --dataset validation.jsonl --json
    """
    from flows.common.process import is_folder_or_registered, prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=output, offline=is_folder_or_registered(model))

    def run() -> int:
        from components.common.configuration import load_config
        from flows.common.progress import begin, reporting
        from flows.estimate import estimated, in_words

        settings = load_config(config)
        with reporting(quiet=json):
            begin("passing a few rows", None)
            found = estimated(model, dataset, settings, limit, output.absolute())
        typer.echo(found.model_dump_json(indent=2) if json else in_words(found))
        return 0

    exit_with(run, debug=debug)
