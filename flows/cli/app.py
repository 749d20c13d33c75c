"""The command line; the commands on evidence are in evidence_commands. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import clean, evidence, planning, records, servers, unattended
from flows.cli.entry import exit_with, main
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group, TrackingOption

app = typer.Typer(
    name="calig",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Explain a transformer classifier, check the explanations, compare them with the version before, and leave a verdict.",
    epilog="Exit codes: [bold]0[/] pass · [bold]1[/] fail · [bold]3[/] inconclusive · [bold]2[/] bad usage or input · "
    "[bold]4[/] could not run · [bold]130[/], [bold]143[/] stopped.",
)
config_app = typer.Typer(no_args_is_help=True, help="Look at the settings.")

ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="models:/NAME/VERSION, models:/NAME@alias, a model folder, or a hub id with its revision: ID@REVISION.",
    ),
]
DatasetOption = Annotated[
    Path,
    typer.Option(
        help="Validation set: CSV, JSONL (also .gz), Parquet, or a saved datasets folder, with a column text (or image) and, "
        "if known, label, id, rationale (or rationales), and segment columns."
    ),
]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        help="Version to compare with: models:/NAME/VERSION_OR_@ALIAS, or a results folder. Default: @champion, if any."
    ),
]
ReexplainOption = Annotated[
    bool,
    typer.Option("--reexplain-reference", help="Explain the reference again when its own explanation cannot be compared."),
]
ConfigOption = Annotated[Path | None, typer.Option(help="YAML file with settings; see `calig config show`.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Explain only the first N rows.")]
OutputOption = Annotated[Path, typer.Option(help="Where results and caches go.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Explain again although a finished explanation exists.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the governance record as JSON on standard output.")]


@app.command(rich_help_panel=Group.EXPLAIN)
def explain(  # noqa: PLR0913, PLR0917 - each option of the command is one
    model: ModelArgument,
    dataset: DatasetOption,
    reference: ReferenceOption = None,
    reexplain_reference: ReexplainOption = False,
    config: ConfigOption = None,
    tracking_uri: TrackingOption = None,
    limit: LimitOption = None,
    output: OutputOption = DEFAULT_OUTPUT,
    force: ForceOption = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Explain one model version, judge it, and publish the evidence to it.

    [bold]Example:[/] calig explain models:/reviews/2 --dataset validation.jsonl --limit 200
    """
    from flows.common.process import is_folder_or_registered, prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=output, offline=is_folder_or_registered(model))

    def run() -> int:
        from components.common.configuration import load_config
        from flows.common.prefect_server import await_server, prefect_api
        from flows.common.progress import begin, reporting

        settings = load_config(config)
        if reexplain_reference:
            settings = settings.model_copy(update={"drift": settings.drift.model_copy(update={"reexplain_reference": True})})
        with reporting(quiet=json), prefect_api(output) as server:
            begin("starting: libraries, and a Prefect server unless one is configured", None)
            from flows.explain_release import explain_release

            chosen_by = {
                "dataset": "command line",
                "config": "default" if config is None else "command line",
                "reference": "default" if reference is None else "command line",
            }
            await_server(server)
            outcome = explain_release(model, dataset, reference, settings, limit, output, force, chosen_by=chosen_by)
        from flows.cli.outcome import exit_code, show

        show(outcome, as_json=json)
        return exit_code(outcome)

    exit_with(run, debug=debug)


@app.command(rich_help_panel=Group.EXPLAIN)
def publish(
    folder: Annotated[Path, typer.Argument(help="Results folder of a run whose publishing failed.")],
    tracking_uri: TrackingOption = None,
    debug: DebugOption = False,
) -> None:
    """Publish results that are complete on disk but did not reach the tracking server."""
    from flows.common.process import prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=folder.parent, offline=True)

    def run() -> int:
        from flows.cli.outcome import publish_folder

        return publish_folder(folder)

    exit_with(run, debug=debug)


@app.command(rich_help_panel=Group.EXPLAIN)
def monitor(  # noqa: PLR0913, PLR0917 - each option of the command is one
    model: ModelArgument,
    dataset: Annotated[
        Path, typer.Option(help="The later window of data, for instance production traffic; forms as in explain.")
    ],
    against: Annotated[
        str | None,
        typer.Option(help="Results folder or version to hold it against. Default: this version's own published explanation."),
    ] = None,
    config: ConfigOption = None,
    tracking_uri: TrackingOption = None,
    limit: LimitOption = None,
    output: OutputOption = DEFAULT_OUTPUT,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Hold later data against an earlier explanation by the same model: do the validated reasons still apply?

    [bold]Example:[/] calig monitor models:/reviews@champion --dataset last-week.jsonl
    """
    from flows.common.process import is_folder_or_registered, prepare

    prepare(debug=debug, tracking_uri=tracking_uri, output=output, offline=is_folder_or_registered(model))

    def run() -> int:
        from components.common.configuration import load_config
        from flows.common.prefect_server import await_server, prefect_api
        from flows.common.progress import begin, reporting

        settings = load_config(config)
        with reporting(quiet=json), prefect_api(output) as server:
            begin("starting: libraries, and a Prefect server unless one is configured", None)
            from flows.monitor import monitor_data

            await_server(server)
            monitored = monitor_data(model, dataset, against, settings, limit, output)
        from flows.cli.outcome import show_monitored

        return show_monitored(monitored.report, monitored.folder, as_json=json)

    exit_with(run, debug=debug)


@app.command(rich_help_panel=Group.EXPLAIN)
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's models, registry and results go; emptied first.")] = Path(
        ".demo"
    ),
    debug: DebugOption = False,
) -> None:
    """Train two versions of a small classifier, the second with a planted shortcut, and watch the shortcut being caught."""
    from flows.common.process import prepare

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # its models are so small that threads only get into each other's way
    prepare(debug=debug, tracking_uri=f"sqlite:///{(folder / 'mlflow.db').absolute()}", output=folder / "runs", offline=True)

    def run() -> int:
        from components.demo.story import start_afresh
        from flows.common.prefect_server import await_server, prefect_api

        start_afresh(folder)
        with prefect_api(folder / "runs") as server:
            from flows.cli.demo import run_demo

            await_server(server)
            return run_demo(folder)

    exit_with(run, debug=debug)


# Groups stand in the help in the order in which their first commands are registered.
app.add_typer(config_app, name="config", rich_help_panel=Group.SETTINGS)
evidence.register(app)
records.register(app)
planning.register(app)
servers.register(app)
unattended.register(app)
clean.register(app)


@config_app.command("show")
def config_show(config: ConfigOption = None, debug: DebugOption = False) -> None:
    """Print every setting with its value and its meaning, as a YAML file to start from."""

    def run() -> int:
        from components.common.configuration import load_config, render

        typer.echo(render(load_config(config)), nl=False)
        return 0

    exit_with(run, debug=debug)


if __name__ == "__main__":
    main()
