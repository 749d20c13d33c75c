"""Commands that explain and judge: `calig explain`, `publish`, `monitor`, `demo`, `gate`, `history`, `estimate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.command import CommandGroup, ConfigOption, command
from flows.common.process import DEFAULT_OUTPUT

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
LimitOption = Annotated[int | None, typer.Option(min=1, help="Explain only the first N rows.")]
OutputOption = Annotated[Path, typer.Option(help="Where results and caches go.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Explain again although a finished explanation exists.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the governance record as JSON on standard output.")]


def register(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    for function in (explain, publish, monitor, demo, gate, history, estimate):
        app.command(rich_help_panel=CommandGroup.EXPLAIN)(function)


@command(uses_hub=True)
def explain(  # noqa: PLR0913, PLR0917 - each option of the command is one
    model: ModelArgument,
    dataset: DatasetOption,
    reference: ReferenceOption = None,
    reexplain_reference: ReexplainOption = False,
    config: ConfigOption = None,
    limit: LimitOption = None,
    output: OutputOption = DEFAULT_OUTPUT,
    force: ForceOption = False,
    json: JsonOption = False,
) -> int:
    """Explain one model version, judge it, and publish the evidence to it.

    [bold]Example:[/] calig explain models:/reviews/2 --dataset validation.jsonl --limit 200
    """
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


@command(results_in=lambda options: options["folder"].parent)
def publish(
    folder: Annotated[Path, typer.Argument(help="Results folder of a run whose publishing failed.")],
) -> int:
    """Publish results that are complete on disk but did not reach the tracking server."""
    from flows.cli.outcome import publish_folder

    return publish_folder(folder)


@command(uses_hub=True)
def monitor(
    model: ModelArgument,
    dataset: Annotated[
        Path, typer.Option(help="The later window of data, for instance production traffic; forms as in explain.")
    ],
    against: Annotated[
        str | None,
        typer.Option(help="Results folder or version to hold it against. Default: this version's own published explanation."),
    ] = None,
    config: ConfigOption = None,
    limit: LimitOption = None,
    output: OutputOption = DEFAULT_OUTPUT,
    json: JsonOption = False,
) -> int:
    """Hold later data against an earlier explanation by the same model: do the validated reasons still apply?

    [bold]Example:[/] calig monitor models:/reviews@champion --dataset last-week.jsonl
    """
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


@command(results_in=lambda options: options["folder"] / "runs", uses_registry=False)
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's models, registry and results go; emptied first.")] = Path(
        ".demo"
    ),
) -> int:
    """Train two versions of a small classifier, the second with a planted shortcut, and watch the shortcut being caught."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # its models are so small that threads only get into each other's way
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{(folder / 'mlflow.db').absolute()}"
    from components.demo.reviews import start_afresh
    from flows.common.prefect_server import await_server, prefect_api

    start_afresh(folder)
    with prefect_api(folder / "runs") as server:
        from flows.cli.demo import run_demo

        await_server(server)
        return run_demo(folder)


@command()
def gate(  # noqa: PLR0913, PLR0917 - each option of the command is one
    model: Annotated[str, typer.Argument(metavar="MODEL", help="models:/NAME/VERSION, models:/NAME@alias, or a results folder.")],
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML here: each check a test case.")] = None,
    summary: Annotated[
        Path | None,
        typer.Option(help="Also write Markdown here, a CI job's summary: verdict, what did not pass, what changed, examples."),
    ] = None,
    max_age: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0.0, help="An explanation older than this is inconclusive.")
    ] = None,
    require_reference: Annotated[
        bool, typer.Option("--require-reference", help="A version that was compared with no other is inconclusive.")
    ] = False,
    require_approval: Annotated[
        bool, typer.Option("--require-approval", help="A version that no reviewer has approved is inconclusive.")
    ] = False,
    promote: Annotated[
        bool,
        typer.Option(
            "--promote",
            help="On pass, and only then, move @champion to this version. It only moves forward, and only "
            "over the version that this one was compared with.",
        ),
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="With --promote: also go back to an older version, whatever it was compared with.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with settings: its section `gate` is the policy, and the settings of the explanation have to be as "
            "strict as in it. Default: all defaults."
        ),
    ] = None,
    trusted_keys: Annotated[
        Path | None,
        typer.Option(
            help="List of trusted keys. Default: setting governance.trusted_keys, CALIG_TRUSTED_KEYS, or the user's own. Where "
            "there is one, only evidence signed by one of them passes."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
) -> int:
    """Ask in CI/CD whether a version may go on, by the verdict that `calig explain` published for it. Computes nothing.

    The newest explanation counts, whatever tags say. It must be about this very entry of the registry, made by settings as
    strict as the gate's own, and compared with what @champion is now; seal and sign-offs have to hold. A version that was never
    explained is bad input (2), not a pass; one that a reviewer rejected fails. Waivers count only with the setting
    gate.accept_waivers, until they expire.

    [bold]Example:[/] calig gate models:/reviews/2 --max-age 30 --junit gate.xml --summary gate.md
    """
    from components.common.configuration import load_config
    from flows.cli.gate import GateOptions, run_gate

    settings = load_config(config)
    policy, governance = settings.gate, settings.governance
    asked = {
        "max_age_days": policy.max_age_days if max_age is None else max_age,
        "require_reference": policy.require_reference or require_reference,
        "require_approval": policy.require_approval or require_approval,
        "promote": policy.promote or promote,
    }
    trusted = {"trusted_keys": trusted_keys or governance.trusted_keys}
    sections = {"gate": policy.model_copy(update=asked), "governance": governance.model_copy(update=trusted)}
    return run_gate(model, settings.model_copy(update=sections), GateOptions(rollback, junit, summary, json))


@command()
def history(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a registered model.")],
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a page with charts of quality and drift over the versions, complete in itself."),
    ] = None,
) -> int:
    """Show all versions of a model: verdict, accuracy, quality, drift against the version before, and the words that fired.

    Versions without an explanation are listed as such. Lines in the charts are broken where the data set or the method
    changed, since numbers before and after do not compare.

    [bold]Example:[/] calig history reviews --html reviews.html
    """
    from flows.cli.outcome import show_history

    return show_history(name, html)


@command(uses_hub=True)
def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As in explain.")],
    dataset: Annotated[Path, typer.Option(help="As in explain.")],
    config: ConfigOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N rows.")] = None,
    output: Annotated[Path, typer.Option(help="Where downloaded models are kept.")] = DEFAULT_OUTPUT,
    json: Annotated[bool, typer.Option("--json", help="Print the estimate as JSON on standard output.")] = False,
) -> int:
    """Say how long attribution will take here and how much memory it needs, from a few rows; explains and publishes nothing.

    With it come the job variables to set for the work pool's job: `memory`, a quarter above the peak, and `gpus`.

    [bold]Example:[/] calig estimate models:/reviews/2 --dataset validation.jsonl --json
    """
    from components.common.configuration import load_config
    from flows.common.progress import begin, reporting
    from flows.execution.resources import describe_estimate, estimate_run

    settings = load_config(config)
    with reporting(quiet=json):
        begin("passing a few rows", None)
        found = estimate_run(model, dataset, settings, limit, output.absolute())
    typer.echo(found.model_dump_json(indent=2) if json else describe_estimate(found))
    return 0
